package request

import (
	"net/http"
	"strings"
)

// HasTag reports whether If-None-Match (RFC 9110, section 13.1.2) has this entity tag, weak or strong, or is "*". The tag is quoted, and
// has no comma.
func HasTag(header http.Header, tag string) bool {
	value := strings.Join(header.Values("If-None-Match"), ",")
	if strings.TrimSpace(value) == "*" {
		return true
	}
	for item := range strings.SplitSeq(value, ",") {
		if strings.TrimPrefix(strings.TrimSpace(item), "W/") == tag {
			return true
		}
	}
	return false
}
