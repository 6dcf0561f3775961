// A caller in Go, with the client that oapi-codegen generates from the contract. It reads the URL of the API and a token from API and TOKEN,
// creates four clients, and prints their ids.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"caller/api"

	"github.com/google/uuid"
)

var jane = api.CreateClient{FirstName: "Jane", LastName: "Smith", EmailAddress: "jsmith@example.com"}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := api.NewClientWithResponses(os.Getenv("API"), api.WithHTTPClient(retrying{}), api.WithRequestEditorFn(authorize))
	if err != nil {
		log.Fatal(err)
	}
	c := caller{client}
	for _, step := range []func(context.Context) error{c.one, c.waiting, c.refused, c.dryRun, c.many} {
		if err := step(ctx); err != nil {
			log.Fatal(err)
		}
	}
}

func authorize(_ context.Context, r *http.Request) error {
	r.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
	return nil
}

// retrying sends a request again after a 503, or if no response arrives. Requests that create clients have a key, so that is safe.
type retrying struct{}

func (retrying) Do(r *http.Request) (*http.Response, error) {
	for {
		response, err := http.DefaultClient.Do(r)
		if err == nil && response.StatusCode != http.StatusServiceUnavailable {
			return response, nil
		}
		wait := 100 * time.Millisecond
		if err == nil {
			wait = retryAfter(response)
			_ = response.Body.Close()
		}
		if sleepErr := sleep(r.Context(), wait); sleepErr != nil {
			return nil, errors.Join(err, sleepErr)
		}
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

func retryAfter(r *http.Response) time.Duration {
	seconds, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if err != nil {
		return 100 * time.Millisecond
	}
	return time.Duration(seconds) * time.Second
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

type caller struct{ *api.ClientWithResponses }

// one creates a client, polls its operation, gets the client, and gets it again unless it has changed.
func (c caller) one(ctx context.Context) error {
	key := "onboarding-1"
	params := &api.CreateClientParams{IdempotencyKey: &key}
	created, err := c.CreateClientWithResponse(ctx, params, jane)
	if err != nil {
		return err
	}
	if created.JSON202 == nil {
		return unexpected("create", created.Status(), created.Body)
	}
	id := created.JSON202.Id
	if err := c.poll(ctx, id); err != nil {
		return err
	}
	got, err := c.GetClientWithResponse(ctx, id, nil)
	if err != nil {
		return err
	}
	if got.JSON200 == nil || got.JSON200.FirstName != jane.FirstName || got.JSON200.Id != id || got.JSON200.Title != nil {
		return unexpected("get", got.Status(), got.Body)
	}
	tag := got.HTTPResponse.Header.Get("ETag")
	again, err := c.GetClientWithResponse(ctx, id, &api.GetClientParams{IfNoneMatch: &tag})
	if err != nil {
		return err
	}
	if again.StatusCode() != http.StatusNotModified {
		return unexpected("get with If-None-Match", again.Status(), again.Body)
	}
	retried, err := c.CreateClientWithResponse(ctx, params, jane)
	if err != nil {
		return err
	}
	if retried.JSON202 == nil || retried.JSON202.Id != id {
		return unexpected("retry", retried.Status(), retried.Body)
	}
	fmt.Println(id)
	return nil
}

// poll waits until an operation has succeeded.
func (c caller) poll(ctx context.Context, id uuid.UUID) error {
	for {
		operation, err := c.GetOperationWithResponse(ctx, id, nil)
		switch {
		case err != nil:
			return err
		case operation.JSON200 == nil:
			return unexpected("operation", operation.Status(), operation.Body)
		case operation.JSON200.Status == "succeeded":
			return nil
		case operation.JSON200.Status != "pending":
			return unexpected("outcome", operation.Status(), operation.Body)
		}
		if err := sleep(ctx, retryAfter(operation.HTTPResponse)); err != nil {
			return err
		}
	}
}

// waiting creates a client with every member, and waits for it.
func (c caller) waiting(ctx context.Context) error {
	key, wait := "onboarding-2", "wait=20"
	title, town, yes := "Dr", "London", true
	full := jane
	full.Title = &title
	full.CommunicationPreferences = &api.CreateCommunicationPreferences{Email: &yes}
	full.Address = &api.CreateAddress{Line1: "1 High Street", PostTown: &town, Postcode: "SW1A 1AA"}
	created, err := c.CreateClientWithResponse(ctx, &api.CreateClientParams{IdempotencyKey: &key, Prefer: &wait}, full)
	if err != nil {
		return err
	}
	record := created.JSON201
	if record == nil || *cmp.Or(record.Title, new(string)) != title || record.Address == nil || *record.Address.PostTown != town ||
		record.CommunicationPreferences == nil || !record.CommunicationPreferences.Email || record.Status != "NotInvited" {
		return unexpected("create and wait", created.Status(), created.Body)
	}
	fmt.Println(record.Id)
	return nil
}

// refused sends requests that are not accepted.
func (c caller) refused(ctx context.Context) error {
	key := "onboarding-1"
	janet := jane
	janet.FirstName = "Janet"
	reused, err := c.CreateClientWithResponse(ctx, &api.CreateClientParams{IdempotencyKey: &key}, janet)
	if err != nil {
		return err
	}
	if p := reused.ApplicationproblemJSON422; p == nil || p.Type != "/problems/idempotency-key-reused" {
		return unexpected("another request under the key", reused.Status(), reused.Body)
	}
	dob := "2999-01-01"
	unborn := jane
	unborn.LastName, unborn.Dob = " ", &dob
	invalid, err := c.CreateClientWithResponse(ctx, nil, unborn)
	if err != nil {
		return err
	}
	p := invalid.ApplicationproblemJSON422
	if p == nil || p.Type != "/problems/invalid" || p.Errors == nil || len(*p.Errors) != 2 || (*p.Errors)[0].Pointer != "/lastName" {
		return unexpected("an invalid client", invalid.Status(), invalid.Body)
	}
	unknown, err := c.GetClientWithResponse(ctx, uuid.New(), nil)
	if err != nil {
		return err
	}
	if p := unknown.ApplicationproblemJSON404; p == nil || p.Type != "/problems/not-found" {
		return unexpected("an unknown client", unknown.Status(), unknown.Body)
	}
	return nil
}

func (c caller) dryRun(ctx context.Context) error {
	only := api.CreateClientParamsValidate("only")
	valid, err := c.CreateClientWithResponse(ctx, &api.CreateClientParams{Validate: &only}, jane)
	if err != nil {
		return err
	}
	if valid.JSON200 == nil || valid.JSON200.Status != "valid" {
		return unexpected("dry run", valid.Status(), valid.Body)
	}
	return nil
}

// many creates two clients with one request, in which another line is not valid, and waits for them.
func (c caller) many(ctx context.Context) error {
	first, second := "onboarding-3", "onboarding-4"
	var body strings.Builder
	lines := json.NewEncoder(&body)
	for _, line := range []api.BatchLine{
		{IdempotencyKey: &first, Client: jane},
		{Client: api.CreateClient{FirstName: "Jane", LastName: " ", EmailAddress: jane.EmailAddress}},
		{IdempotencyKey: &second, Client: jane},
	} {
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	const ndjson = "application/x-ndjson"
	batch, err := c.CreateClientsWithBodyWithResponse(ctx, nil, ndjson, strings.NewReader(body.String()))
	if err != nil {
		return err
	}
	results := json.NewDecoder(bytes.NewReader(batch.Body))
	for _, want := range []int{http.StatusAccepted, http.StatusUnprocessableEntity, http.StatusAccepted} {
		var result api.BatchResult
		if err := results.Decode(&result); err != nil || result.Status != want {
			return unexpected("batch", fmt.Sprint(err), batch.Body)
		}
		if want != http.StatusAccepted {
			if problem, err := result.Body.AsProblem(); err != nil || problem.Type != "/problems/invalid" {
				return unexpected("batch", fmt.Sprint(err), batch.Body)
			}
			continue
		}
		accepted, err := result.Body.AsAccepted()
		if err != nil {
			return err
		}
		if err := c.await(ctx, accepted.Id); err != nil {
			return err
		}
		fmt.Println(accepted.Id)
	}
	return nil
}

// await waits for an operation with one request at a time.
func (c caller) await(ctx context.Context, id uuid.UUID) error {
	wait := "wait=20"
	operation, err := c.GetOperationWithResponse(ctx, id, &api.GetOperationParams{Prefer: &wait})
	if err != nil {
		return err
	}
	if operation.JSON200 == nil || operation.JSON200.Status != "succeeded" {
		return unexpected("operation", operation.Status(), operation.Body)
	}
	return nil
}

func unexpected(what, status string, body []byte) error {
	return fmt.Errorf("%s: %s: %s", what, status, body)
}
