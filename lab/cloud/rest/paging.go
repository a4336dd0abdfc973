package rest

import (
	"net/http"
	"strconv"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

const (
	pageSize    = 50   // where a client asks for none
	maxPageSize = 1000 // what it may ask for
)

// page is the part of all that a request's limit and page ask for, and the header that
// names the next one.
func page[T any](r *http.Request, all []T) ([]T, map[string]string, error) {
	limit, from := pageSize, 0
	for name, n := range map[string]*int{"limit": &limit, "page": &from} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		var err error
		if *n, err = strconv.Atoi(text); err != nil || *n < 0 || name == "limit" && (*n < 1 || *n > maxPageSize) {
			return nil, nil, &cloud.Error{Status: http.StatusBadRequest, Code: "InvalidParameter", Message: name + " is not valid: " + text}
		}
	}
	from = min(from, len(all))
	to := min(from+limit, len(all))
	if to == len(all) {
		return all[from:], nil, nil
	}
	return all[from:to], map[string]string{"opc-next-page": strconv.Itoa(to)}, nil
}
