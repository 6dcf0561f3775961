package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"clientele/cmd/internal/figures"
	"clientele/cmd/internal/inspect"
)

// dateTimeUTC is the layout of a time in UTC.
const dateTimeUTC = time.DateTime + " UTC"

// statusScreen returns a state as text of up to 80 columns.
func statusScreen(s inspect.Status, paint paint) string {
	var b strings.Builder
	title := "Clientele works."
	if n := len(s.Problems); n > 0 {
		title = "Clientele has " + countOf(n, "problem") + "."
	}
	fmt.Fprintf(&b, "%-57s%s\n\n", title, s.At.Format(dateTimeUTC))
	if len(s.Problems) > 0 {
		b.WriteString(findingsText(s.Problems, paint) + "\n")
	}
	summary(&b, s)
	b.WriteByte('\n')
	streamTable(&b, s)
	if len(s.Subscribers) > 0 {
		b.WriteByte('\n')
		subscriberTable(&b, s)
	}
	if len(s.Webhooks) > 0 {
		b.WriteByte('\n')
		webhookTable(&b, s)
	}
	if len(s.Processes) > 0 {
		b.WriteByte('\n')
		processTable(&b, s)
	}
	return b.String()
}

func summary(b *strings.Builder, s inspect.Status) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(b, "%-13s"+format+"\n", append([]any{name}, args...)...)
	}
	c := s.Commands
	accepted, completed, again := "-", "-", ""
	if c.Rates != nil {
		accepted, completed = figures.PerSecond(c.Rates.Accepted), figures.PerSecond(c.Rates.Completed)
		if c.Rates.Redeliveries > 0 {
			again = " (" + figures.PerSecond(c.Rates.Redeliveries) + ")"
		}
	}
	row("Throughput", "accepted %s, completed %s; last accepted %s", accepted, completed, figures.Ago(s.At, c.LastAccepted))
	row("Backlog", "%s waiting, %s in progress, %s redelivered%s", figures.Grouped(c.Waiting), figures.Grouped(uint64(c.InProgress)), figures.Grouped(uint64(c.Redelivered)), again)
	none := "no command waits"
	if c.Backlog > 0 {
		none = "unknown"
	}
	row("Oldest", "%s", oldestText(c.OldestSeconds, none))
	row("Workers", "%s", workersText(c))
	if s.Figures != nil {
		for _, line := range measuredLines(*s.Figures) {
			row(line[0], "%s", line[1])
		}
	}
	row("Rejections", "%s", recordsText(s.At, s.Rejections))
	row("Audit trail", "%s", recordsText(s.At, s.Audit))
	server := s.NATS.Version + " at " + display(strings.TrimPrefix(s.NATS.URL, "nats://"))
	if s.NATS.Cluster != "" {
		server += " (" + display(s.NATS.Server) + " in cluster " + display(s.NATS.Cluster) + ")"
	}
	row("NATS", "%s, responds in %s", server, figures.Millis(s.NATS.RoundTripSeconds))
	if !s.Database.Answers {
		row("Database", "does not respond")
		return
	}
	row("Database", "%s %s, schema %d, responds in %s",
		s.Database.Product, s.Database.Version, s.Database.Schema, figures.Millis(s.Database.ResponseSeconds))
}

func workersText(c inspect.Commands) string {
	switch {
	case c.Paused != nil:
		return "paused until " + c.Paused.Until.UTC().Format(dateTimeUTC)
	case c.NoWorker:
		return "none fetches commands"
	case c.InProgress > 0:
		return "busy"
	case c.Fetches > 0:
		return "wait for commands"
	}
	return "-"
}

func oldestText(seconds float64, none string) string {
	if seconds == 0 {
		return none
	}
	return figures.Duration(time.Duration(seconds * float64(time.Second)))
}

func recordsText(now time.Time, r inspect.Records) string {
	if r.Count == 0 {
		return "none"
	}
	return figures.Grouped(r.Count) + ", the last " + figures.Ago(now, r.Last)
}

func streamTable(b *strings.Builder, s inspect.Status) {
	rows := [][]string{{"STREAM", "MESSAGES", "SIZE", "LIMIT", "USED", "REPLICAS"}}
	for _, stream := range s.Streams {
		if stream.Error != "" {
			rows = append(rows, []string{stream.Name, "-", "-", "-", "-", "-"})
			continue
		}
		limit, used := "-", "-"
		if stream.MaxAgeSeconds > 0 {
			limit = figures.Duration(time.Duration(stream.MaxAgeSeconds * float64(time.Second)))
		}
		if stream.MaxBytes > 0 {
			limit, used = figures.Size(uint64(stream.MaxBytes)), fmt.Sprintf("%.0f %%", 100*stream.Used())
		}
		rows = append(rows, []string{stream.Name, figures.Grouped(stream.Messages), figures.Size(stream.Bytes), limit, used, replicasText(stream)})
	}
	writeTable(b, "lrrrrl", rows)
}

// replicasText returns the number of replicas, and those that are not current.
func replicasText(s inspect.Stream) string {
	text, behind := strconv.Itoa(s.Replicas), 0
	for _, f := range s.Followers {
		switch {
		case f.Offline:
			text += ", " + display(f.Server) + " offline"
		case f.Lag > 0 || !f.Current:
			text += fmt.Sprintf(", %s %d behind", display(f.Server), f.Lag)
		default:
			continue
		}
		behind++
	}
	if len(s.Followers) > 0 && behind == 0 {
		text += ", all current"
	}
	return text
}

func subscriberTable(b *strings.Builder, s inspect.Status) {
	rows := make([][]string, 0, 1+len(s.Subscribers))
	rows = append(rows, []string{"SUBSCRIBER", "WAITING", "UNACKNOWLEDGED", "OLDEST", "LAST DELIVERY"})
	for _, sub := range s.Subscribers {
		rows = append(rows, []string{
			display(sub.Name), figures.Grouped(sub.Waiting), figures.Grouped(uint64(sub.Unacknowledged)), oldestText(sub.OldestSeconds, "-"), figures.Ago(s.At, sub.LastDelivery),
		})
	}
	writeTable(b, "lrrrr", rows)
}

func processTable(b *strings.Builder, s inspect.Status) {
	rows := make([][]string, 0, 1+len(s.Processes))
	rows = append(rows, []string{"PROCESS", "HOST", "VERSION", "STARTED", "STATE"})
	for _, p := range s.Processes {
		state := "ready"
		if !p.Ready {
			state = "not ready"
		} else if len(p.Reasons) > 0 {
			state = "degraded"
		}
		rows = append(rows, []string{
			cut(display(p.Role), 20), cut(display(p.Host), 20), cut(display(p.Version), 14), figures.Ago(s.At, p.Started), state,
		})
	}
	writeTable(b, "lllrl", rows)
}

// cut returns the first characters of a text, up to a number.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func webhookTable(b *strings.Builder, s inspect.Status) {
	rows := make([][]string, 0, 1+len(s.Webhooks))
	rows = append(rows, []string{"WEBHOOK", "HOST", "STATE", "WAITING", "LAST SUCCESS", "FAILING SINCE"})
	for _, w := range s.Webhooks {
		failing := "-"
		if !w.FailingSince.IsZero() {
			failing = figures.Ago(s.At, w.FailingSince)
		}
		rows = append(rows, []string{display(w.Name), display(w.Host), string(w.State), figures.Grouped(w.Waiting), figures.Ago(s.At, w.LastSuccess), failing})
	}
	writeTable(b, "lllrrr", rows)
}

// statusLine returns a state as one line.
func statusLine(s inspect.Status) string {
	c, accepted, completed := s.Commands, "-", "-"
	if c.Rates != nil {
		accepted, completed = figures.PerSecond(c.Rates.Accepted), figures.PerSecond(c.Rates.Completed)
	}
	var line strings.Builder
	fmt.Fprintf(&line, "%s  %-4s  accepted %s, completed %s, backlog %d, oldest %s, redelivered %d, rejections %d",
		s.At.Format(time.TimeOnly), s.Health, accepted, completed, c.Backlog, oldestText(c.OldestSeconds, "-"), c.Redelivered, s.Rejections.Count)
	for _, p := range s.Problems {
		line.WriteString("; " + display(p.Name+": "+p.Found))
	}
	return line.String()
}

// redraw returns a screen that replaces the one before on a terminal, without flicker.
func redraw(screen string) string {
	return "\x1b[H" + strings.ReplaceAll(screen, "\n", "\x1b[K\n") + "\x1b[J"
}
