package rest

import (
	"errors"
	"io"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// strict is JSON of which a body holds one value and nothing after it: a request cut together from two is a mistake to
// be told, not half obeyed.
type strict struct{ *runtime.JSONPb }

// errMore says that something follows the value.
var errMore = errors.New("proto: more follows after the end of the request")

// NewDecoder implements runtime.Marshaler.
func (s strict) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		d := s.JSONPb.NewDecoder(r)
		if err := d.Decode(v); err != nil {
			return err
		}
		var more any
		if err := d.Decode(&more); !errors.Is(err, io.EOF) {
			return errMore
		}
		return nil
	})
}
