package doctor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/inspect/doctor"
)

func TestJudgements(t *testing.T) {
	t.Parallel()
	writes := func(slow int, d time.Duration) (times []time.Duration) {
		for range 100 - slow {
			times = append(times, time.Millisecond)
		}
		for range slow {
			times = append(times, d)
		}
		return times
	}
	now := time.Now()
	expires := func(left time.Duration) []inspect.Finding {
		return doctor.JudgeCertificates(map[string]time.Time{"of NATS": now.Add(left), "of the database": now.AddDate(2, 0, 0)}, now, true)
	}
	answer := func(status int, body string) inspect.Finding {
		if problem := doctor.JudgeAnswer(status, []byte(body)); problem != nil {
			return *problem
		}
		return inspect.Finding{Result: inspect.OK}
	}
	const unknown = `{"title":"Invalid","errors":[{"pointer":"/clienteleDoctor","detail":"is an unknown member"}]}`
	for name, c := range map[string]struct {
		got  inspect.Finding
		want inspect.Health
	}{
		"a fast disk":                         {doctor.JudgeDisk(writes(1, time.Minute), "here"), inspect.OK},
		"a slow disk":                         {doctor.JudgeDisk(writes(2, 60*time.Millisecond), "here"), inspect.Warn},
		"a disk that callers notice":          {doctor.JudgeDisk(writes(2, 2*time.Second), "here"), inspect.Fail},
		"one write":                           {doctor.JudgeDisk([]time.Duration{time.Millisecond}, "here"), inspect.OK},
		"a clock that is right":               {doctor.JudgeClock(now, now.Add(time.Second/2)), inspect.OK},
		"a clock within the answer's time":    {doctor.JudgeClock(now, now.Add(1900*time.Millisecond)), inspect.OK},
		"a clock that is ahead":               {doctor.JudgeClock(now, now.Add(4*time.Second)), inspect.Warn},
		"a clock that is far behind":          {doctor.JudgeClock(now, now.Add(-time.Hour)), inspect.Fail},
		"a new certificate":                   {expires(365 * 24 * time.Hour)[0], inspect.OK},
		"a certificate that should be new":    {expires(20 * 24 * time.Hour)[0], inspect.Warn},
		"a certificate that must be new":      {expires(3 * 24 * time.Hour)[0], inspect.Fail},
		"a certificate that has expired":      {expires(-time.Hour)[0], inspect.Fail},
		"an API that refuses the member":      {answer(422, unknown), inspect.OK},
		"an API that refuses more":            {answer(422, strings.Replace(unknown, "Doctor", "", 1)), inspect.Fail},
		"an API that accepts what is unknown": {answer(202, `{}`), inspect.Fail},
		"an API that refuses the key":         {answer(401, `{}`), inspect.Fail},
		"an API that is not ready":            {answer(503, `{}`), inspect.Fail},
		"something else than the API":         {answer(404, `<html>`), inspect.Fail},
	} {
		if c.got.Result != c.want || c.want != inspect.OK && c.got.Do == "" {
			t.Errorf("%s: %+v, want %s", name, c.got, c.want)
		}
	}
}

// TestFindingsLinkToSections checks that each section that a finding names exists.
func TestFindingsLinkToSections(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	for _, pattern := range []string{"../*.go", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	links := regexp.MustCompile(`"((?:deploy/README|SECURITY)\.md)#([a-z-]+)"`).FindAllStringSubmatch(source.String(), -1)
	if len(links) < 10 {
		t.Fatalf("only %d links", len(links))
	}
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	for _, link := range links {
		document, err := os.ReadFile("../../../../" + link[1])
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, h := range heading.FindAllStringSubmatch(string(document), -1) {
			anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(h[1]), "")
			found = found || strings.ReplaceAll(anchor, " ", "-") == link[2]
		}
		if !found {
			t.Errorf("%s has no section %s", link[1], link[2])
		}
	}
}
