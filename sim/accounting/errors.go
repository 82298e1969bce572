package accounting

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/concord-suite/concord/sim/gateway"
)

// Numbers and names of the provider's exceptions.
const (
	validation  = 10
	badPost     = 14
	badQuery    = 16
	nothingDone = 17
)

var exceptionNames = map[int]string{
	validation: "ValidationException", badPost: "PostDataInvalidException",
	badQuery: "QueryParseException", nothingDone: "NoDataProcessedException",
}

// exception is the body that tells what is wrong with a request.
type exception struct {
	ErrorNumber int
	Type        string
	Message     string
	Elements    any `json:",omitempty"`
}

// failure is an answer that is no success: an exception, the gateway's problem, or plain text.
type failure struct {
	status    int
	exception *exception
	detail    string // of the gateway's problem
	text      string
}

// Error returns the words of the failure.
func (f failure) Error() string {
	if f.exception != nil {
		return f.exception.Message
	}
	return f.detail + f.text
}

func except(number int, message string) failure {
	return failure{status: http.StatusBadRequest, exception: &exception{ErrorNumber: number, Type: exceptionNames[number], Message: message}}
}

// invalid is a ValidationException that concerns no element.
func invalid(message string) failure { return except(validation, message) }

// rejected is the ValidationException of elements that carry what is wrong with each.
func rejected(elements any) failure {
	f := invalid("A validation exception occurred")
	f.exception.Elements = elements
	return f
}

// errNotFound has plain text, unlike everything else.
var errNotFound = failure{status: http.StatusNotFound, text: "The resource you're looking for cannot be found"}

func (f failure) answer(w http.ResponseWriter) {
	switch {
	case f.exception != nil:
		body, err := json.Marshal(f.exception)
		if err != nil {
			gateway.Problem(w, http.StatusInternalServerError, err.Error())
			return
		}
		send(w, f.status, body)
	case f.detail != "":
		gateway.Problem(w, f.status, f.detail)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(f.status)
		_, _ = w.Write([]byte(f.text)) // an error here means the caller has gone
	}
}

func refuse(w http.ResponseWriter, err error) {
	var f failure
	if !errors.As(err, &f) {
		f = failure{status: http.StatusInternalServerError, detail: err.Error()}
	}
	f.answer(w)
}

func send(w http.ResponseWriter, status int, body []byte) {
	if len(body) > 0 {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error here means the caller has gone
}
