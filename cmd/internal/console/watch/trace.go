package watch

import "strings"

// TraceOf returns the trace id in a traceparent (W3C Trace Context, section 3.2.2), or "".
func TraceOf(traceparent string) string {
	fields := strings.Split(traceparent, "-")
	if len(fields) < 4 || len(fields[1]) != 32 {
		return ""
	}
	return fields[1]
}
