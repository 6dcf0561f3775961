package cli

import (
	"iter"
	"time"

	"clientele/publisher/endpoint"
)

type webhooksLsCmd struct {
	JSON          bool `name:"json" help:"Print one JSON object per line instead of a table."`
	operatorFlags `embed:"" group:"nats"`
}

// Help is printed by --help.
func (*webhooksLsCmd) Help() string {
	return `Examples:

  clientele webhooks ls
  clientele webhooks ls --json | jq 'select(.state == "disabled").name'

STATE is active, paused or disabled. FAILING SINCE is the first failure after the last success. clientele status shows how many events wait.`
}

// Run lists the endpoints.
func (c *webhooksLsCmd) Run(e env) error {
	js, bucket, err := webhookFlags{operatorFlags: c.operatorFlags}.open(e)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	all, err := bucket.List(e.ctx)
	if err != nil {
		return err
	}
	return list[endpoint.Endpoint]{
		unit: "webhook", header: []string{"NAME", "HOST", "STATE", "LAST SUCCESS", "FAILING SINCE", "ERROR"},
		columns: webhookColumns, json: func(w endpoint.Endpoint) error { return printWebhookJSON(e, w) },
	}.write(e, each(all), c.JSON)
}

// each returns an iterator without errors.
func each[T any](all []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range all {
			if !yield(item, nil) {
				return
			}
		}
	}
}

func webhookColumns(w endpoint.Endpoint) []string {
	return []string{
		display(w.Name), display(w.Host()), string(w.State()), timeOrDash(w.Health.LastSuccess), timeOrDash(w.Health.FailingSince), display(w.Health.LastError),
	}
}

func timeOrDash(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func printWebhookJSON(e env, w endpoint.Endpoint) error {
	return printJSON(e, struct {
		Name          string            `json:"name"`
		URL           string            `json:"url"`
		State         endpoint.State    `json:"state"`
		CreatedAt     time.Time         `json:"createdAt"`
		Subjects      []string          `json:"subjects,omitzero"`
		Fields        string            `json:"fields"`
		InFlight      int               `json:"inFlight"`
		GiveUpAfter   endpoint.Duration `json:"giveUpAfter"`
		DisableAfter  endpoint.Duration `json:"disableAfter"`
		PreviousUntil time.Time         `json:"previousSecretUntil,omitzero"`
		LastSuccess   time.Time         `json:"lastSuccess,omitzero"`
		FailingSince  time.Time         `json:"failingSince,omitzero"`
		DisabledAt    time.Time         `json:"disabledAt,omitzero"`
		LastError     string            `json:"lastError,omitzero"`
	}{
		display(w.Name), w.URL, w.State(), w.CreatedAt, w.Subjects, fieldsOf(w.IDOnly), w.InFlight, w.GiveUpAfter, w.DisableAfter, w.PreviousUntil(),
		w.Health.LastSuccess, w.Health.FailingSince, w.Health.DisabledAt, w.Health.LastError,
	})
}
