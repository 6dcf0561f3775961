package cli

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"clientele/cmd/internal/process"
	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

type eventsForwardCmd struct {
	URL        string `arg:"" help:"Where events are posted, as CloudEvents in HTTP's binary mode."`
	Name       string `default:"default" placeholder:"NAME" help:"Name of this way out. Each name has every event once, from when it was first used (${default})."`
	SecretFile string `type:"path" predictor:"file" placeholder:"FILE" help:"Secret with which events are signed, by Standard Webhooks: whsec_ and base64, or any text."`
	InFlight   int    `default:"16" placeholder:"N" help:"Requests under way at once (${default})."`

	AdminListen   string `group:"process" placeholder:"HOST:PORT" help:"Where /livez, /readyz, /metrics and /debug/pprof are served; nowhere unless given."`
	runFlags      `embed:"" group:"process"`
	operatorFlags `embed:"" group:"nats"`
}

var forwardName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Help is printed by --help.
func (*eventsForwardCmd) Help() string {
	return `Examples:

  clientele events forward https://crm.example.com/clients --secret-file secret

Each event is sent until it is answered with 2xx. What was sent is remembered by --name, on the side of NATS: it can be
stopped and started again, and run twice.`
}

// Validate is called by the parser.
func (c *eventsForwardCmd) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL must be like https://crm.example.com/clients")
	case !forwardName.MatchString(c.Name):
		return errors.New("--name has up to 64 letters, digits, dashes and underscores")
	case c.InFlight < 1 || c.InFlight > 1000:
		return errors.New("--in-flight must be from 1 to 1000")
	}
	return c.runFlags.validate()
}

// Run forwards events until it is stopped.
func (c *eventsForwardCmd) Run(e env) error {
	secret, err := readSecret(c.SecretFile)
	if err != nil {
		return fmt.Errorf("--secret-file: %w", err)
	}
	p := process.New(c.logger(e), c.ShutdownTimeout)
	return p.Run(e.ctx, func(ctx context.Context) error {
		admin, _, err := startProcess(ctx, p, e, c.AdminListen)
		if err != nil {
			return err
		}
		conn, err := natsFlags(c.operatorFlags).connect(ctx, p, "subscriber")
		if err != nil {
			return err
		}
		js, err := jetstream.New(conn)
		if err != nil {
			return err
		}
		f := &forwarder{url: c.URL, secret: secret, log: p.Log, client: &http.Client{
			Timeout: forwardTimeout,
			// Where it leads elsewhere is an answer, and not a place for people's data.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
		var consumer jetstream.Consumer
		err = await(ctx, p, "the events", func(ctx context.Context) (err error) {
			consumer, err = js.CreateOrUpdateConsumer(ctx, domain.StreamEvents, jetstream.ConsumerConfig{
				Durable:       "forward-" + c.Name,
				Description:   "clientele events forward",
				DeliverPolicy: jetstream.DeliverNewPolicy,
				AckPolicy:     jetstream.AckExplicitPolicy,
				AckWait:       2 * forwardTimeout,
				MaxAckPending: c.InFlight,
				MaxDeliver:    -1,
			})
			return err
		})
		if err != nil {
			return err
		}
		slots := make(chan struct{}, c.InFlight)
		subscription, err := consumer.Consume(func(msg jetstream.Msg) { //nolint:contextcheck // an attempt outlives the order to stop
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				f.forward(msg)
			}()
		}, jetstream.PullMaxMessages(c.InFlight))
		if err != nil {
			return fmt.Errorf("consume the events: %w", err)
		}
		p.OnStop("forwarding", func(ctx context.Context) error {
			subscription.Stop()
			for range cap(slots) { // until what is under way is over
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
				}
			}
			return nil
		})
		admin.Start(advised([]process.Check{{Name: "events", Missing: func(ctx context.Context) error {
			_, err := js.Consumer(ctx, domain.StreamEvents, "forward-"+c.Name)
			return err
		}}}))
		p.Log.Info().Str("to", redact(c.URL)).Msg("forwarding events")
		return nil
	})
}

// readSecret returns the key that signs, nil for none. By Standard Webhooks it is base64 behind whsec_.
func readSecret(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(file))
	const least = 16
	if encoded, ok := strings.CutPrefix(text, "whsec_"); ok {
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && len(secret) < least {
			err = fmt.Errorf("a secret has at least %d bytes", least)
		}
		return secret, err
	}
	if len(text) < least {
		return nil, fmt.Errorf("a secret has at least %d bytes", least)
	}
	return []byte(text), nil
}

// forwarder hands events over to a URL.
type forwarder struct {
	url    string
	secret []byte
	client *http.Client
	log    zerolog.Logger
}

const (
	forwardTimeout  = 30 * time.Second // of one attempt
	maxForwardPause = 5 * time.Minute
)

// forward posts an event, and has it delivered again after a while if that fails.
func (f *forwarder) forward(msg jetstream.Msg) {
	ctx, cancel := context.WithTimeout(context.Background(), forwardTimeout)
	defer cancel()
	err := f.post(ctx, msg)
	if err == nil {
		if err := msg.Ack(); err != nil {
			f.log.Warn().Err(err).Msg("cannot acknowledge an event, it will be sent again")
		}
		return
	}
	pause := time.Second
	if meta, metaErr := msg.Metadata(); metaErr == nil {
		pause = min(time.Second<<min(meta.NumDelivered-1, 10), maxForwardPause)
	}
	f.log.Warn().Err(err).Str("event", msg.Headers().Get("ce-id")).Stringer("again_in", pause).Msg("cannot hand an event over, trying again")
	_ = msg.NakWithDelay(pause)
}

func (f *forwarder) post(ctx context.Context, msg jetstream.Msg) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(msg.Data()))
	if err != nil {
		return err
	}
	for name, values := range msg.Headers() {
		if strings.HasPrefix(name, "ce-") && name != "ce-datacontenttype" || name == domain.HeaderTraceparent { // the former is Content-Type in HTTP
			request.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	request.Header.Set("User-Agent", userAgent())
	request.Header.Set("Content-Type", msg.Headers().Get("Content-Type"))
	if f.secret != nil {
		f.sign(request, msg.Headers().Get("ce-id"), msg.Data())
	}
	response, err := f.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the answer is %s", response.Status)
	}
	return nil
}

// sign signs a request by Standard Webhooks 1.0: HMAC-SHA256 of id, time and body.
func (f *forwarder) sign(request *http.Request, id string, body []byte) {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, f.secret)
	mac.Write([]byte(id + "." + now + "."))
	mac.Write(body)
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", now)
	request.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
