package fetch

import "strings"

// describe names a call in errors: the method, and the URL without what may
// hold secrets, its user part, query and fragment.
func describe(req *Request) string {
	method := req.Method
	if method == "" {
		method = "GET"
	}
	url := req.URL
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return method + " " + url
	}
	authority, path, hasPath := strings.Cut(rest, "/")
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if hasPath {
		path = "/" + path
	}
	return method + " " + scheme + "://" + authority + path
}
