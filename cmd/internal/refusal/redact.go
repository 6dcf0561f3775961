package refusal

import (
	"net/url"
	"strings"
)

// Redact returns a list of URLs, separated by commas, without user names and passwords. It leaves out what is not a URL.
func Redact(urls string) string {
	var out []string
	for server := range strings.SplitSeq(urls, ",") {
		if u, err := url.Parse(strings.TrimSpace(server)); err == nil {
			u.User = nil
			out = append(out, u.String())
		}
	}
	return strings.Join(out, ", ")
}
