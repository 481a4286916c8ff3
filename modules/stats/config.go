package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	_ "time/tzdata" // a sandbox has no files to read time zones from

	"spore/guest/slack"
)

// config comes from the function's env in functions.toml and is read once, at
// deploy: a mistake in it fails the deploy.
type config struct {
	url          string         // STATS_URL, the statistics service without the path
	site         string         // SITE, as the reply names it
	zone         *time.Location // TZ_NAME, in which dates are told
	responseType string         // RESPONSE_TYPE, who sees the figures
	budget       time.Duration  // STATS_BUDGET, how long the figures may take before the user is told to wait
	testHost     string         // SLACK_RESPONSE_HOST, a stand-in for Slack in tests
}

// Slack waits 3 s for an answer. What the budget leaves of them is for the way
// there and back.
const (
	minBudget = 10 * time.Millisecond
	maxBudget = 2500 * time.Millisecond
)

func readConfig(getenv func(string) string) (config, error) {
	cfg := config{
		url:          strings.TrimRight(getenv("STATS_URL"), "/"),
		site:         or(getenv("SITE"), "snowballproject.org"),
		responseType: or(getenv("RESPONSE_TYPE"), slack.Ephemeral),
		testHost:     getenv("SLACK_RESPONSE_HOST"),
	}
	u, err := url.Parse(cfg.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(cfg.url, "?#") {
		return config{}, errors.New("STATS_URL is not a base URL; set it to one such as https://example.org in the function's env")
	}
	if cfg.responseType != slack.Ephemeral && cfg.responseType != slack.InChannel {
		return config{}, fmt.Errorf("RESPONSE_TYPE is %q; set it to %s or %s", cfg.responseType, slack.Ephemeral, slack.InChannel)
	}
	cfg.zone, err = time.LoadLocation(or(getenv("TZ_NAME"), "UTC"))
	if err != nil {
		return config{}, fmt.Errorf("TZ_NAME: %w; set it to a name such as Europe/Amsterdam", err)
	}
	cfg.budget, err = time.ParseDuration(or(getenv("STATS_BUDGET"), "2s"))
	if err != nil || cfg.budget < minBudget || cfg.budget > maxBudget {
		return config{}, fmt.Errorf("STATS_BUDGET is %q; set it to a duration from %v to %v, such as 2s", getenv("STATS_BUDGET"), minBudget, maxBudget)
	}
	return cfg, nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
