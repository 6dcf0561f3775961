package cli_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"clientele/domain"
)

func TestRejectionGroups(t *testing.T) {
	t.Parallel()
	r := newRejectionsTest(t)
	if stdout, stderr := r.prints("ls", "--group"); stdout != "" || stderr != "no groups\n" {
		t.Errorf("%q %q", stdout, stderr)
	}
	start := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	rejected := func(minute int, reason domain.Code, errors ...domain.Violation) domain.Rejection {
		return domain.Rejection{
			ID: fmt.Sprint("id-", minute), Reason: reason, RejectedAt: start.Add(time.Duration(minute) * time.Minute), Errors: errors,
		}
	}
	email, postcode := domain.Violation{Pointer: "/emailAddress", Detail: "must be an address"}, domain.Violation{Pointer: "/address/postcode"}
	r.reject(
		rejected(3, domain.CodeInvalid, email, domain.Violation{Pointer: "/emailAddress", Detail: "is required"}, postcode),
		rejected(1, domain.CodeInvalid, email),
		rejected(2, domain.CodeInvalid, email),
		rejected(4, domain.CodeUnstorable, domain.Violation{Detail: "the database refuses it"}),
		rejected(5, domain.CodeUnstorable, domain.Violation{Detail: "the database refuses it"}),
		rejected(6, domain.CodeUnstorable, domain.Violation{Detail: "for another reason"}),
		rejected(7, domain.CodeErased),
	)
	const want = `REASON      COUNT  FIRST                 LAST                  WRONG
invalid     3      2026-11-23T18:01:00Z  2026-11-23T18:03:00Z  /emailAddress
unstorable  2      2026-11-23T18:04:00Z  2026-11-23T18:05:00Z  the database refuses it
erased      1      2026-11-23T18:07:00Z  2026-11-23T18:07:00Z  -
invalid     1      2026-11-23T18:03:00Z  2026-11-23T18:03:00Z  /address/postcode
unstorable  1      2026-11-23T18:06:00Z  2026-11-23T18:06:00Z  for another reason
`
	if stdout, stderr := r.prints("ls", "--group"); stdout != want || stderr != "5 groups\n" {
		t.Errorf("%s%s", stdout, stderr)
	}
	// A member of a group is a filter.
	stdout, _ := r.prints("ls", "--group", "--json", "--pointer=/address/postcode")
	const at = `"first":"2026-11-23T18:03:00Z","last":"2026-11-23T18:03:00Z"}`
	if stdout != `{"reason":"invalid","pointer":"/address/postcode","count":1,`+at+"\n"+`{"reason":"invalid","pointer":"/emailAddress","count":1,`+at+"\n" {
		t.Errorf("%s", stdout)
	}
	stdout, _ = r.prints("ls", "--group", "--json", "--since=2026-11-23T18:06:00Z", "--reason=unstorable")
	if !strings.HasPrefix(stdout, `{"reason":"unstorable","pointer":"","detail":"for another reason","count":1,`) {
		t.Errorf("%s", stdout)
	}
}
