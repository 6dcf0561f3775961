package cli

import (
	"net/url"
	"strings"
)

// userOf returns the user of a URL, "" if there is none.
func userOf(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	return u.User.Username()
}

// redact takes user names and passwords out of a list of URLs.
func redact(urls string) string {
	var out []string
	for server := range strings.SplitSeq(urls, ",") {
		if u, err := url.Parse(strings.TrimSpace(server)); err == nil {
			u.User = nil
			out = append(out, u.String())
		}
	}
	return strings.Join(out, ", ")
}
