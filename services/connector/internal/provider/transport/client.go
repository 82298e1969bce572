// Package transport is how the connector speaks HTTP to providers: one client with bounds and without redirects, and the
// reading of answers that say no.
package transport

import (
	"errors"
	"net"
	"net/http"
	"time"
)

// NewClient makes the client for all calls to providers. Calls carry their own deadline; the bounds here are for what no
// deadline covers.
//
// It follows no redirect, since a bearer token belongs to the address it was meant for, and it keeps no cookies.
func NewClient() *http.Client {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    20, // all tenants of a provider are behind one host
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect }}
}

var errRedirect = errors.New("the provider redirects a call, which is not followed")
