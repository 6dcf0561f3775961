package refusal

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"

	"github.com/nats-io/nats.go"
)

// PermissionError is a right that the NATS user of a process lacks.
type PermissionError struct {
	User            string // "" if it is in no URL
	Role            string // the user of deploy/nats/accounts.conf that has the right
	Action, Subject string
}

func (e *PermissionError) Error() string {
	user := "the NATS user"
	if e.User != "" {
		user = fmt.Sprintf("NATS user %q", e.User)
	}
	return fmt.Sprintf("%s may not %s to %q", user, e.Action, e.Subject)
}

// violation is what a server reports about a missing right.
var violation = regexp.MustCompile(`Permissions Violation for (Publish|Subscription) to "(\S+)"`)

// LackingRight returns the right that a server reports as missing, or nil if the error is about something else. A request without
// the right receives no response, so this is the only sign of it.
func LackingRight(nc *nats.Conn, role string, err error) error {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return nil
	}
	parts := violation.FindStringSubmatch(err.Error())
	if parts == nil {
		return nil
	}
	if role == "serve" {
		role = "operator" // which has the rights to set up streams
	}
	user := ""
	if u, err := url.Parse(nc.ConnectedUrl()); err == nil {
		user = u.User.Username()
	}
	return &PermissionError{
		User: user, Role: role,
		Action: map[string]string{"Publish": "publish", "Subscription": "subscribe"}[parts[1]], Subject: parts[2],
	}
}
