// Command reverseproxy is httputil.ReverseProxy before two servers: one for
// /socket, one for everything else.
//
//	reverseproxy LISTEN SOCKETS OTHERS
package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DisableCompression = true
	// By default it keeps two connections, and makes one for each request beyond.
	transport.MaxIdleConnsPerHost = 64
	to := func(address string) http.Handler {
		target := &url.URL{Scheme: "http", Host: address}
		return &httputil.ReverseProxy{
			Transport: transport,
			// Clients that leave are no news.
			ErrorLog: log.New(io.Discard, "", 0),
			Rewrite: func(request *httputil.ProxyRequest) {
				request.SetURL(target)
				request.SetXForwarded()
				request.Out.Host = request.In.Host
			},
		}
	}
	http.Handle("/socket", to(os.Args[2]))
	http.Handle("/", to(os.Args[3]))
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
