package request

import (
	"errors"
	"net/url"
)

// ValidateOnly reports whether a query asks to validate the request and to create nothing, with validate=only.
//
// Unknown parameters are ignored. But a query that may have been meant so is an error, because otherwise the request would create a
// client: one with another value, with several values, or one that cannot be read.
func ValidateOnly(query string) (bool, error) {
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return false, errors.New("the query cannot be read")
	}
	values, ok := parameters["validate"]
	if ok && (len(values) != 1 || values[0] != "only") {
		return false, errors.New("validate must be only, once; omit it to create clients")
	}
	return ok, nil
}
