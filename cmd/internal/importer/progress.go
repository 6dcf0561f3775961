package importer

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress counts rows and shows the progress: as a bar on a terminal, or else as a line every 10 s.
type progress struct {
	w     io.Writer
	bar   *progressbar.ProgressBar // nil without a terminal
	size  int64
	began time.Time

	mu                 sync.Mutex
	accepted, rejected int
	reported           time.Time // when the last line was printed
}

const progressInterval = 10 * time.Second

func newProgress(cfg Config, size int64) *progress {
	p := &progress{w: cfg.Progress, size: size, began: time.Now(), reported: time.Now()}
	if cfg.Terminal {
		total := size
		if total == 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.w), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(true), progressbar.OptionShowElapsedTimeOnFinish(),
			progressbar.OptionUseANSICodes(true), progressbar.OptionSetRenderBlankState(true))
	}
	return p
}

func (p *progress) add(read int64, rejected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rejected {
		p.rejected++
	} else {
		p.accepted++
	}
	if p.bar != nil {
		p.bar.Describe(p.line())
		if p.size > 0 {
			read = min(read, p.size-1) // the bar is full only after the last response
		}
		_ = p.bar.Set64(read)
	} else if time.Since(p.reported) > progressInterval {
		p.reported = time.Now()
		fmt.Fprintln(p.w, p.line())
	}
}

// notify prints a separate line.
func (p *progress) notify(text string) { _ = p.printTo(p.w, text) }

// print prints the reasons why a row would be rejected.
func (p *progress) print(w io.Writer, r row, reasons []string) error {
	return p.printTo(w, fmt.Sprintf("row %d: %s", r.number, strings.Join(reasons, "; ")))
}

func (p *progress) printTo(w io.Writer, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func (p *progress) line() string {
	return fmt.Sprintf("%d accepted, %d rejected, %.0f/s", p.accepted, p.rejected, float64(p.accepted+p.rejected)/time.Since(p.began).Seconds())
}

// end ends the progress output. The bar is full if all rows are done.
func (p *progress) end(all bool) {
	if p.bar == nil {
		return
	}
	if all {
		p.bar.Describe(p.line())
		_ = p.bar.Finish()
	}
	fmt.Fprintln(p.w)
}

func (p *progress) result() Result {
	return Result{Accepted: p.accepted, Rejected: p.rejected, Elapsed: time.Since(p.began)}
}
