package demo

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
)

// The names that clients combine.
var (
	firstNames = [...]string{"Amelia", "Arthur", "Chloe", "David", "Ella", "Finley", "Grace", "Harry", "Isla", "Jack", "Mia", "Zoë"}
	lastNames  = [...]string{"Brown", "Davies", "Evans", "Johnson", "Jones", "Roberts", "Smith", "Taylor", "Walker", "Williams"}
	towns      = [...][2]string{{"London", "SW1A 1AA"}, {"Manchester", "M1 1AE"}, {"Birmingham", "B1 1AA"}, {"Leeds", "LS1 1AA"}}
)

// body returns the JSON of a synthetic client, with further members.
func body(members ...string) string {
	first, last, town := firstNames[rand.IntN(len(firstNames))], lastNames[rand.IntN(len(lastNames))], towns[rand.IntN(len(towns))]
	all := append([]string{
		`"firstName": "` + first + `"`,
		`"lastName": "` + last + `"`,
		fmt.Sprintf(`"emailAddress": "client-%06d@example.com"`, rand.IntN(1_000_000)),
		fmt.Sprintf(`"telephoneNumber": "+447700900%03d"`, rand.IntN(1000)), // the numbers that Ofcom reserves for drama
		fmt.Sprintf(`"address": {"line_1": "%d High Street", "post_town": %q, "postcode": %q}`, 1+rand.IntN(200), town[0], town[1]),
	}, members...)
	return "{" + strings.Join(all, ", ") + "}"
}

// The shares of requests that are not new, valid clients.
const (
	repeatShare  = 0.05
	invalidShare = 0.05
)

// create sends a client to the API at this URL. Some requests repeat an idempotency key, and the API refuses some for their content.
func create(ctx context.Context, api string) error {
	key, content := "demo-"+strconv.FormatUint(rand.Uint64(), 36), body()
	times := 1
	switch p := rand.Float64(); {
	case p < repeatShare:
		times = 2
	case p < repeatShare+invalidShare:
		content = body(`"dob": "2999-12-31"`)
	}
	for range times {
		if err := post(ctx, api, key, content); err != nil {
			return err
		}
	}
	return nil
}

// post sends a request. A refusal is an answer, too.
func post(ctx context.Context, api, key, content string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"/api/v2/clients", strings.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
