// NAME is run every few minutes: it checks whether a site is up, and reports that
// for the five minutes in which it was asked to.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"spore/guest"
	"spore/guest/fetch"
	"spore/guest/typed"
)

// From functions.toml, read once, at deploy.
var (
	checkURL  = os.Getenv("CHECK_URL")
	reportURL = os.Getenv("REPORT_URL") // empty: nothing is reported, only answered
)

func main() { typed.Start(run) }

// Tick is the event, in the words of EventBridge's schedules.
type Tick struct {
	Time time.Time `json:"time"` // when the run was due
}

// Report says how a slot went.
type Report struct {
	Slot   time.Time `json:"slot"`
	Up     bool      `json:"up"`
	Detail string    `json:"detail"`
}

const (
	every   = 5 * time.Minute
	maxWait = 3 * time.Second
)

// run may be called twice for the same slot, or late: schedules retry. What it
// does is therefore named by the event's time and not by the clock, and doing it
// again replaces the same report.
func run(ctx context.Context, tick Tick) (Report, error) {
	if tick.Time.IsZero() {
		return Report{}, &typed.Error{Status: 422, Code: "no_time", Message: `send {"time":"2026-01-31T12:05:00Z"}`}
	}
	report := check(ctx)
	report.Slot = tick.Time.UTC().Truncate(every)
	if reportURL == "" {
		return report, nil
	}
	return report, send(ctx, report)
}

func check(ctx context.Context) Report {
	res, err := fetch.Do(ctx, &fetch.Request{URL: checkURL, Timeout: maxWait})
	if err != nil {
		return Report{Detail: err.Error()}
	}
	return Report{Up: res.Status == 200, Detail: fmt.Sprintf("status %d", res.Status)}
}

// send puts the report where its slot belongs. An error fails the run, which may
// then be tried again.
func send(ctx context.Context, report Report) error {
	body, err := json.Marshal(report)
	if err != nil {
		return err
	}
	res, err := fetch.Do(ctx, &fetch.Request{
		Method:  "PUT",
		URL:     reportURL + "/" + report.Slot.Format("20060102T1504Z"),
		Headers: guest.Pairs{{Name: "content-type", Value: "application/json"}},
		Body:    body,
		Timeout: maxWait,
	})
	if err != nil {
		return err
	}
	if res.Status > 299 {
		return fmt.Errorf("report: status %d", res.Status)
	}
	return nil
}
