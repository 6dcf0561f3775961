package request

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"clientele/publisher/ingress/problem"
)

const (
	// MaxLines is the maximum number of lines in a body.
	MaxLines = 1000
	// MaxLine is the maximum size of a line in bytes: a client, a key with every character escaped, and the members' names.
	MaxLine = MaxBody + 2<<10
	// maxChunk and maxChunkLines limit the lines that Next returns: more is not read meanwhile.
	maxChunk      = 256 << 10
	maxChunkLines = 250
)

var (
	tooManyLines = problem.TooLarge.With("a batch is limited to " + strconv.Itoa(MaxLines) + " lines; this line and later ones were not processed")
	late         = problem.Timeout.With("this line did not arrive in time; it and later ones were not processed")
	stopped      = problem.Unavailable.With("the service is stopping; this line and later ones were not processed")
	broken       = problem.Malformed.With("the body ended early; this line was not processed")
)

// Lines reads a body of lines as they arrive. It reads ahead while the caller processes lines.
type Lines struct {
	control *http.ResponseController
	body    io.Reader
	timeout time.Duration // left for the body to arrive, 0 for no limit
	// sized bodies are on their way: waiting for their next lines costs less than a further sync of the log.
	sized   bool
	done    chan struct{} // closed when the reader has ended
	arrived chan struct{} // holds a token while there may be lines, or the end
	room    chan struct{} // holds a token while there may be room for lines

	mu     sync.Mutex
	lines  [][]byte
	size   int
	end    *problem.Document // nil for a body that is complete
	ended  bool
	closed bool
}

// ReadLines reads the lines of a request. If it cannot, it answers the request and returns false. Otherwise call Close.
//
// The body has to arrive within the server's ReadTimeout. The time in which the reader waits for the caller of Next does not count.
func ReadLines(w http.ResponseWriter, r *http.Request) (*Lines, bool) {
	if !checkMediaType(w, r, MediaTypeLines) {
		return nil, false
	}
	l := &Lines{
		control: http.NewResponseController(w), body: r.Body, sized: r.ContentLength >= 0,
		done: make(chan struct{}), arrived: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		l.timeout = server.ReadTimeout
	}
	// HTTP/1 otherwise reads the rest of the body before the first byte of the response. HTTP/2 does not.
	if err := l.control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		problem.Internal.Write(w, "")
		return nil, false
	}
	go l.run()
	return l, true
}

// Next returns the lines that have arrived, at least one, in their order and without their ends. A line that is too large is longer than
// MaxLine, and incomplete. Without a line, the body has ended, or stop is closed: end is nil if the body was complete.
func (l *Lines) Next(stop <-chan struct{}) (lines [][]byte, end *problem.Document) {
	for {
		l.mu.Lock()
		if len(l.lines) > 0 || l.ended {
			lines, end = l.lines, l.end
			l.lines, l.size = nil, 0
			l.mu.Unlock()
			signal(l.room)
			return lines, end
		}
		l.mu.Unlock()
		select {
		case <-l.arrived:
		case <-stop:
			return nil, &stopped
		}
	}
}

// Sending reports whether the caller may still be sending a body of known size. Most such callers read the response afterwards.
func (l *Lines) Sending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sized && !l.ended
}

// Close stops reading, and waits for the end of that.
func (l *Lines) Close() {
	l.mu.Lock()
	l.closed = true
	if !l.ended { // otherwise the server may be waiting for the next request
		_ = l.control.SetReadDeadline(time.Unix(1, 0)) // ends a Read in progress
	}
	l.mu.Unlock()
	signal(l.room)
	<-l.done
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run reads lines until the body ends. It adds lines that arrived together at once, so that they are processed together.
func (l *Lines) run() {
	defer close(l.done)
	in := bufio.NewReaderSize(l, 32<<10)
	for n, err := 0, error(nil); err == nil; {
		var lines [][]byte
		var size int
		for err == nil && size < maxChunk && len(lines) < maxChunkLines && (len(lines) == 0 || l.sized || hasLine(in)) {
			var line []byte
			if line, err = readLine(in); err == nil || errors.Is(err, io.EOF) && len(line) > 0 {
				n++
				if n > MaxLines {
					err = errTooMany
					break
				}
				lines, size = append(lines, line), size+len(line)
			}
		}
		if !l.add(lines, size, err) {
			return
		}
	}
}

var (
	errTooMany = errors.New("too many lines")
	errClosed  = errors.New("closed")
)

// add waits for room, adds lines, and ends the body unless err is nil. It returns false after Close.
func (l *Lines) add(lines [][]byte, size int, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.lines) > 0 && (l.size+size > maxChunk || len(l.lines)+len(lines) > maxChunkLines) && !l.closed {
		l.mu.Unlock()
		<-l.room
		l.mu.Lock()
	}
	l.lines, l.size, l.ended = append(l.lines, lines...), l.size+size, err != nil
	switch problemOf := unreadable(err); {
	case err == nil || errors.Is(err, io.EOF):
	case errors.Is(err, errTooMany):
		l.end = &tooManyLines
	case problemOf.Status == http.StatusRequestTimeout:
		l.end = &late
	default:
		l.end = &broken
	}
	signal(l.arrived)
	return !l.closed
}

// Read reads from the body, in the time that is left.
func (l *Lines) Read(b []byte) (int, error) {
	began := time.Now()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return 0, errClosed
	}
	if l.timeout > 0 {
		_ = l.control.SetReadDeadline(began.Add(l.timeout))
	}
	l.mu.Unlock()
	n, err := l.body.Read(b)
	if l.timeout > 0 {
		l.timeout = max(l.timeout-time.Since(began), 1)
	}
	return n, err
}

// hasLine reports whether a complete line has arrived.
func hasLine(in *bufio.Reader) bool {
	arrived, _ := in.Peek(in.Buffered())
	return slices.Contains(arrived, '\n')
}

// readLine returns the next line without its end. Of a line that is too large it returns a part that is, too. The last line, before
// io.EOF, may lack its end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if room := MaxLine + 1 - len(line); room > 0 {
			line = append(line, part[:min(len(part), room)]...)
		}
		switch {
		case err == nil && len(line) <= MaxLine:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}
