package systemtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"clientele/cmd/internal/cli"
	"clientele/cmd/internal/testcluster"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Example_subscriber welcomes each new client once. The consumer is durable: it goes on where it was when the subscriber comes
// back. An event that comes again is told by its ce-id.
func Example_subscriber() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	api, natsURL, stopped := exampleService(ctx)
	defer func() {
		cancel()
		<-stopped
	}()

	nc, err := nats.Connect(natsURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		fmt.Println(err)
		return
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, "CLIENT_EVENTS", jetstream.ConsumerConfig{
		Durable:       "mailer",
		FilterSubject: "client.created",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	welcomed := make(chan string)
	seen := map[string]bool{} // keep it in a database, in the transaction that does what the event asks for
	subscription, err := consumer.Consume(func(event jetstream.Msg) {
		var client struct {
			FirstName string `json:"firstName"`
		}
		if id := event.Headers().Get("ce-id"); !seen[id] {
			if err := json.Unmarshal(event.Data(), &client); err != nil {
				return // without an acknowledgement it comes again
			}
			welcomed <- client.FirstName
			seen[id] = true
		}
		_ = event.Ack()
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer subscription.Stop()

	body := `{"firstName": "Jane", "lastName": "Smith", "emailAddress": "jsmith@example.com"}`
	response, err := http.Post(api+"/api/v2/clients", "application/json", strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = response.Body.Close()
	fmt.Println(response.Status)
	fmt.Println("welcome,", <-welcomed)
	// Output:
	// 202 Accepted
	// welcome, Jane
}

// exampleService runs clientele serve until the context ends, and returns where it listens, and a channel that is closed when
// it has stopped.
func exampleService(ctx context.Context) (api, natsURL string, stopped <-chan struct{}) {
	dir, err := os.MkdirTemp("", "clientele-example-")
	if err != nil {
		panic(err)
	}
	var out testcluster.LockedBuffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer os.RemoveAll(dir)
		cli.Run(ctx, []string{
			"serve", "--data-dir", dir, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--nats-listen=127.0.0.1:0", "--log-level=warn",
		}, os.Getenv, strings.NewReader(""), &out, &out)
	}()
	says := func(expression string) string {
		re := regexp.MustCompile(expression)
		for {
			if match := re.FindStringSubmatch(out.String()); match != nil {
				return match[1]
			}
			select {
			case <-done:
				panic(out.String())
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return says(`clients on (http://[0-9.]+:[0-9]+)`), says(`client\.created on (nats://[0-9.]+:[0-9]+)`), done
}
