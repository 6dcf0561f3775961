package request

import "net/http"

// statusHungUp is the status that metrics and traces show for a request whose caller hung up. nginx uses the same number. No
// caller receives it.
const statusHungUp = 499

// HungUp reports whether the caller has hung up, and if so completes the request. Errors of such a request are a result of that,
// not a fault of the service.
func HungUp(w http.ResponseWriter, r *http.Request) bool {
	if r.Context().Err() == nil {
		return false
	}
	w.WriteHeader(statusHungUp)
	return true
}
