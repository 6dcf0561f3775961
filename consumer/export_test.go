package consumer

import "clientele/domain"

// Decode and Decide are the worker's decisions, pure as they are.
var Decode = decode

// Decide returns the reason for which a result is a rejection, "" if it is none.
func Decide(r domain.CreateResult) (domain.Client, domain.Code) {
	v := decide(r)
	return v.client, v.reason
}
