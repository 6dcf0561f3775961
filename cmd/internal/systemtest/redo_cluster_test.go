package systemtest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"clientele/cmd/internal/repair"
	"clientele/cmd/internal/testcluster"
	"clientele/consumer"
	"clientele/consumer/redo"
	"clientele/domain"
	"clientele/publisher"
	"clientele/publisher/leader"
	"clientele/publisher/publishertest"
	"clientele/publisher/streams"
	"clientele/store"
	"clientele/store/sqlite"
	"clientele/store/storetest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A server of three lacks the last messages, and answers reads of a stream without the others. Redo does not take its answer for the end
// of the stream: it fails, or waits until the server has the rest.
func TestRedoReadsFromAServerThatIsBehind(t *testing.T) {
	t.Parallel()
	c := newReplicated(t)
	// The log begins before the commands.
	c.append(c.leader, []domain.CreateClient{publishertest.Command(t, publishertest.NewID(t), "Smith")})
	commands := make([]domain.CreateClient, 40)
	for i := range commands {
		commands[i] = publishertest.Command(t, publishertest.NewID(t), "Smith")
	}
	c.publish(c.leader, commands[:20])
	behind, resume := c.leaveBehind(func() {
		c.publish(c.leader, commands[20:])
		c.append(c.leader, commands)
	})

	run := func(ctx context.Context) (redo.Result, store.Store) {
		db := newSQLite(t)
		done, err := redo.Redo{JS: behind, Store: db}.Run(ctx, 1, 40)
		if err != nil {
			t.Log(err)
			done.Events = -1
		}
		return done, db
	}
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if done, _ := run(short); done.Events >= 0 {
		t.Fatalf("redo read %d events of 40, and reported that these were all", done.Events)
	}
	result, stored := make(chan redo.Result, 1), make(chan store.Store, 1)
	go func() {
		done, db := run(t.Context())
		result <- done
		stored <- db
	}()
	resume()
	if done := <-result; done.Events != 40 || done.Restored != 40 {
		t.Errorf("redo read %d events of 40, and restored %d clients", done.Events, done.Restored)
	}
	db := <-stored
	for _, command := range commands {
		client, err := db.Get(t.Context(), command.ID)
		if err != nil || client.Caller != command.Caller || client.Caller == "" {
			t.Fatalf("the caller of a client is %q (%v), want %q", client.Caller, err, command.Caller)
		}
	}
	if n := c.repaired(); n != 40 {
		t.Errorf("%d events, want 40", n)
	}

	// Erased messages in the middle and at the end are not waited for.
	for _, sequence := range []uint64{10, 39, 40} {
		publishertest.Eventually(t, "a message is erased", func() bool { // a leader may be elected
			events, err := c.leader.Stream(t.Context(), domain.StreamEvents)
			if err == nil {
				err = leader.Remove(t.Context(), c.leader, events, sequence)
			}
			return err == nil
		})
	}
	publishertest.Eventually(t, "the others are read, and nothing is waited for", func() bool { // a follower erases a little later
		done, _ := run(t.Context())
		return done.Events == 37
	})
}

// replicated is three NATS servers with the streams on all of them.
type replicated struct {
	t      *testing.T
	nats   *testcluster.NATSCluster
	leader jetstream.JetStream // of a connection to a server that does not stay behind
	behind int                 // the server that does
}

func newReplicated(t *testing.T) *replicated {
	t.Helper()
	awaitServers(t)
	authority := testcluster.NewAuthority(t)
	authority.Issue("server")
	c := &replicated{t: t, nats: testcluster.StartNATSCluster(t, map[string]string{
		"/etc/clientele/tls": authority.Dir,
		// The servers soon close the routes to a server that does not respond.
		"server_name: $NATS_SERVER_NAME": "server_name: $NATS_SERVER_NAME\nping_interval: 1s\nping_max: 1",
	})}
	c.leader = testcluster.JetStream(t, c.nats.Servers[0].URL)
	settings := publishertest.Streams
	settings.Replicas = 3
	publishertest.Eventually(t, "the streams exist", func() bool {
		return streams.Migrate(t.Context(), c.leader, settings) == nil && consumer.Migrate(t.Context(), c.leader) == nil
	})
	c.choose()
	return c
}

// choose chooses a server that leads no stream, once all servers answer reads of both.
func (c *replicated) choose() {
	c.t.Helper()
	c.behind = 2
	publishertest.Eventually(c.t, "server 3 leads no stream", func() bool {
		leads := false
		for _, name := range []string{domain.StreamEvents, domain.StreamRejections, domain.StreamCommands} {
			stream, err := c.leader.Stream(c.t.Context(), name)
			if err != nil {
				return false
			}
			if stream.CachedInfo().Cluster.Leader == "nats-3" {
				leads = true
				_, _ = c.leader.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+name, nil, time.Second)
			}
		}
		return !leads
	})
	for _, name := range []string{domain.StreamEvents, domain.StreamCommands} {
		publishertest.Eventually(c.t, "all servers answer reads", func() bool {
			var subs struct {
				Total int `json:"total"`
			}
			c.monitor(2, "/subsz?subs=1&test=$JS.API.DIRECT.GET."+name, &subs)
			return subs.Total == 3
		})
	}
}

// leaveBehind stops the chosen server, calls meanwhile, and then leaves that server as the only one. It returns a connection to it, and a
// function that continues the others.
func (c *replicated) leaveBehind(meanwhile func()) (behind jetstream.JetStream, resume func()) {
	c.t.Helper()
	server, others := c.nats.Servers[c.behind], c.nats.Servers[:2]
	server.Signal(syscall.SIGSTOP)
	for i := range others {
		publishertest.Eventually(c.t, "the routes are closed", func() bool {
			var routes struct {
				Routes []struct {
					Name string `json:"remote_name"`
				} `json:"routes"`
			}
			c.monitor(i, "/routez", &routes)
			for _, route := range routes.Routes {
				if route.Name == "nats-3" {
					return false
				}
			}
			return len(routes.Routes) > 0
		})
	}
	meanwhile()
	for _, other := range others {
		other.Signal(syscall.SIGSTOP)
	}
	server.Signal(syscall.SIGCONT)
	return testcluster.JetStream(c.t, server.URL), func() {
		for _, other := range others {
			other.Signal(syscall.SIGCONT)
		}
	}
}

// monitor reads a page of the monitoring of a server.
func (c *replicated) monitor(i int, path string, into any) {
	c.t.Helper()
	r, err := http.Get("http://" + c.nats.Servers[i].Says(`Starting http monitor on (\S+)`) + path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// publish publishes the events of the clients of these commands, one after the other. A server that was late is tried again: the stream
// drops what it has.
func (c *replicated) publish(js jetstream.JetStream, commands []domain.CreateClient) {
	c.t.Helper()
	for _, command := range commands {
		event, err := domain.NewEvent(command.Client(time.Now()))
		if err != nil {
			c.t.Fatal(err)
		}
		publishertest.Eventually(c.t, "an event is published", func() bool {
			outcomes, err := publisher.OpenOutcomePublisher(c.t.Context(), js.Conn())
			return err == nil && outcomes.PublishEvents([]domain.Event{event}) == nil
		})
	}
}

// append puts the commands on the log. A server that was late is tried again: the log refuses what it has.
func (c *replicated) append(js jetstream.JetStream, commands []domain.CreateClient) {
	c.t.Helper()
	for _, command := range commands {
		m := domain.EncodeCommand(command, "")
		publishertest.Eventually(c.t, "a command is on the log", func() bool {
			_, err := js.PublishMsg(c.t.Context(), &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Body})
			return err == nil || strings.Contains(err.Error(), "maximum messages per subject exceeded")
		})
	}
}

// repaired runs clientele redo, and returns the number of events that it read.
func (c *replicated) repaired() int {
	c.t.Helper()
	var done repair.Result
	publishertest.Eventually(c.t, "redo repairs, once the servers have elected leaders", func() (ok bool) {
		var err error
		done, err = repair.Run(c.t.Context(), repair.Config{Conn: c.leader.Conn(), Store: newSQLite(c.t)})
		return err == nil
	})
	return done.Events
}

func newSQLite(t *testing.T) store.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	return storetest.Migrated(t, db, err)
}
