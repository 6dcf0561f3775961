package consumer

import (
	"runtime"
	"strconv"

	"clientele/domain"

	"github.com/rs/zerolog"
)

// recovered returns the result of f. If f panics, recovered logs the stack and returns an error with domain.CodeUndecodable: the message
// that causes the panic is rejected, and does not end every worker in turn.
//
// The value of a panic and the arguments on the stack may be personal data, so the log has neither.
func recovered(log zerolog.Logger, f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			log.Error().Type("panic", value).Strs("stack", stack()).Msg("the code panicked at a command")
			err = domain.Errorf(domain.CodeUndecodable, "the worker cannot process the command; its log has the stack")
		}
	}()
	return f()
}

// stack returns the functions that led to the panic that the caller recovers, with their lines, innermost first.
func stack() (lines []string) {
	const skip, depth = 4, 64 // Callers, stack, the deferred function and the panic itself
	callers := make([]uintptr, depth)
	frames := runtime.CallersFrames(callers[:runtime.Callers(skip, callers)])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		lines = append(lines, frame.Function+" "+frame.File+":"+strconv.Itoa(frame.Line))
	}
	return lines
}
