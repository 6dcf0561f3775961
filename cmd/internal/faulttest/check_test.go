//go:build faults

package faulttest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"clientele/cmd/internal/testcluster"
	"clientele/domain"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// check compares what the callers were told with the outcome. It returns the violations, with the numbers of README.md.
func (s *system) check(h *history) (*outcome, []string) {
	var violations []string
	violation := func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) }
	if !s.drained() {
		violation("6: the backlog does not drain")
	}
	s.awaitRows(violation)
	s.checkReplicas(violation)
	s.journal.stop()
	o, err := s.read()
	if err != nil {
		return nil, append(violations, "the outcome cannot be read: "+err.Error())
	}
	byTag := map[string]*claim{}
	for _, c := range h.claims {
		byTag[c.tag] = c
	}
	o.checkAccepted(h, violation)
	o.checkRejections(byTag, violation)
	o.checkRows(byTag, violation)
	o.checkEvents(s.heard, violation)
	o.checkCommands(violation)
	o.checkSecrets(s.written(), violation)
	o.readBack = s.journal.check(h, o, violation)
	return o, append(violations, h.violations...)
}

// violationFunc records a violation.
type violationFunc func(format string, args ...any)

// checkAccepted checks that every accepted claim has an outcome.
func (o *outcome) checkAccepted(h *history, violation violationFunc) {
	for _, c := range h.claims {
		row := o.rows[c.id]
		if !c.was(accepted202) {
			continue
		}
		_, rejected := o.rejections[c.id.String()]
		switch {
		case row == nil:
			violation("1: %s was accepted, and client %s does not exist", c.tag, c.id)
		case row.LastName != c.tag && !rejected:
			violation("1: %s was accepted, but client %s is another and nothing was rejected", c.tag, c.id)
		case row.LastName == c.tag && rejected && len(h.byKey[c.key]) < 2:
			violation("1: %s was accepted, and is a client and rejected", c.tag)
		}
	}
}

// checkRejections checks that the only rejected commands are those that lost against another under the same key.
func (o *outcome) checkRejections(byTag map[string]*claim, violation violationFunc) {
	for id, r := range o.rejections {
		row := o.rows[uuid.MustParse(id)]
		loser := byTag[tagOf(r.Command.Body)]
		switch {
		case r.Reason != domain.CodeKeyReused || row == nil:
			violation("1: command %s was rejected as %s", id, r.Reason)
		case loser == nil || loser.id.String() != id || loser.tag == row.LastName || !loser.was(accepted202, unknown503, brokenOff):
			violation("1: the rejection of %s is not of a request that lost its key to another", id)
		}
	}
}

// checkRows checks that each client belongs to one claim, which was not refused and has no other row.
func (o *outcome) checkRows(byTag map[string]*claim, violation violationFunc) {
	tags := map[string]bool{}
	for id, row := range o.rows {
		c := byTag[row.LastName]
		switch {
		case c == nil:
			violation("2: client %s belongs to no claim: %s", id, row.LastName)
			continue
		case c.invalid || !c.was(accepted202, unknown503, brokenOff):
			violation("2: client %s was refused: %v", id, c.answers)
		case c.key != "" && c.id != id:
			violation("3: client %s should have the id %s", id, c.id)
		case tags[c.tag]:
			violation("3: %s has a second row, %s", c.tag, id)
		}
		tags[c.tag] = true
	}
}

// checkEvents checks the events on the stream and those that a subscriber received.
func (o *outcome) checkEvents(heard *subscriber, violation violationFunc) {
	client := func(id string) bool {
		parsed, err := uuid.Parse(id)
		return err == nil && o.rows[parsed] != nil
	}
	for id := range o.events {
		if !client(id) {
			violation("4: an event of %q, which is not a client", id)
		}
	}
	for _, row := range o.rows {
		events := o.events[row.ID.String()]
		if len(events) == 0 {
			violation("3: client %s has no event", row.ID)
		}
		want, err := domain.NewEvent(*row)
		for _, e := range events {
			if err != nil || e.Header.Get("ce-id") != want.ID.String() || !bytes.Equal(e.Data, want.Body) {
				violation("3: an event of client %s differs from its row", row.ID)
			}
		}
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	o.repeated = heard.repeated
	for _, id := range heard.unequal {
		violation("3: the events of client %s are not equal", id)
	}
	for id := range heard.events {
		if !client(id) {
			violation("4: a subscriber received an event of %q, which is not a client", id)
		}
	}
}

// checkCommands checks that every command has an outcome: all are acknowledged by now.
func (o *outcome) checkCommands(violation violationFunc) {
	for _, msg := range o.commands {
		id := strings.TrimPrefix(msg.Subject, domain.SubjectCreate)
		_, rejected := o.rejections[id]
		if o.rows[uuid.MustParse(id)] == nil && !rejected {
			violation("5: command %s, at %d, is acknowledged and has no outcome", id, msg.Sequence)
		}
	}
}

// checkSecrets looks for personal data where none is allowed: in the output of processes, in subjects and in headers.
func (o *outcome) checkSecrets(written string, violation violationFunc) {
	if strings.Contains(written, marker) {
		violation("7: personal data in the output of a process")
	}
	msgs := slices.Concat(o.commands, o.rejected)
	for _, events := range o.events {
		msgs = append(msgs, events...)
	}
	for _, msg := range msgs {
		for name, values := range msg.Header {
			if strings.Contains(msg.Subject+name+strings.Join(values, " "), marker) {
				violation("7: personal data in the headers of %s", msg.Subject)
			}
		}
	}
}

// checkAll settles the outcomes that callers do not know yet, and checks everything.
func (s *system) checkAll(h *history) []string {
	h.settle(s.apis)
	_, violations := s.check(h)
	return append(violations, s.checkOperations(h)...)
}

// tagOf returns the tag of the claim that the command is from.
func tagOf(body []byte) string {
	var command struct {
		LastName string `json:"lastName"`
	}
	if err := json.Unmarshal(body, &command); err != nil {
		return ""
	}
	return command.LastName
}

// checkFloor checks during a run that the commands just below the ack floor have an outcome. It returns how many it looked at: none
// while the servers do not answer.
func (s *system) checkFloor() (looks int, violations []string) {
	const span = 300
	var floor uint64
	if !testcluster.Within(10*time.Second, func() (ok bool) {
		var err error
		_, floor, err = s.progress()
		return err == nil
	}) {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	msgs, err := jetstreamext.GetBatch(ctx, s.js, domain.StreamCommands, span, jetstreamext.GetBatchSeq(max(floor, span)-span+1))
	if err != nil {
		return 0, nil
	}
	for msg, err := range msgs {
		if err != nil || msg.Sequence > floor {
			break
		}
		if strings.HasPrefix(msg.Subject, domain.SubjectSync) {
			continue
		}
		id := strings.TrimPrefix(msg.Subject, domain.SubjectCreate)
		_, err := s.clients.Get(ctx, uuid.MustParse(id))
		if err == nil {
			looks++
		}
		if domain.CodeOf(err) != domain.CodeNotFound {
			continue
		}
		if rejected, err := s.leaderHas(ctx, domain.StreamRejections, domain.SubjectRejected+id); err == nil && !rejected {
			violations = append(violations, fmt.Sprintf("5: command %s is below the ack floor and has no outcome", id))
		}
	}
	return looks, violations
}

// leaderHas reports whether a stream has a message with this subject. A direct get may be answered by a replica that is behind.
func (s *system) leaderHas(ctx context.Context, stream, subject string) (bool, error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return false, err
	}
	msg, err := s.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, request)
	if err != nil {
		return false, err
	}
	var response struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &response); err != nil {
		return false, err
	}
	if response.Error == nil {
		return true, nil
	}
	if response.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
		return false, nil
	}
	return false, response.Error
}

// checkOperations checks that the API reports accepted claims as succeeded.
func (s *system) checkOperations(h *history) []string {
	const most = 1000
	var violations []string
	for i, c := range h.claims {
		if !c.was(accepted202) || i%(1+len(h.claims)/most) != 0 {
			continue
		}
		var r testcluster.Reply
		var err error
		testcluster.Within(testcluster.Patience, func() bool { // a stall may cause a 503
			r, err = testcluster.TryGet(s.apis[i%len(s.apis)] + "/api/v2/operations/" + c.id.String())
			return err == nil && r.Status != http.StatusServiceUnavailable
		})
		if err != nil || r.Status != 200 || !strings.Contains(r.Body, `"status":"succeeded"`) {
			violations = append(violations, fmt.Sprintf("1: the operation of %s: %d %s (%v)", c.tag, r.Status, r.Body, err))
		}
	}
	return violations
}
