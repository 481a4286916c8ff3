package main

import (
	"errors"
	"time"
	_ "time/tzdata" // a sandbox has no file system to read zones from
)

var errNoZone = errors.New("not the name of a time zone")

// loadZone loads an IANA time zone. It refuses the two names by which Go means
// something that is not in the database.
func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, errNoZone
	}
	return time.LoadLocation(name)
}

// dayStart returns the first instant of a calendar day, of which date is
// midnight in UTC, in zone. That is the local midnight, save where clocks jump
// over it or pass it twice. A day that a zone skipped begins when the next one does.
func dayStart(date time.Time, zone *time.Location) time.Time {
	before := date.AddDate(0, 0, -1).In(zone) // offsets are less than a day
	midnight := date.Add(-offsetOf(before))
	_, change := before.ZoneBounds()
	if change.IsZero() || midnight.Before(change) {
		return midnight
	}
	midnight = date.Add(-offsetOf(change.In(zone)))
	if midnight.Before(change) {
		return change.UTC() // the clocks jumped over midnight
	}
	return midnight
}

func offsetOf(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// daysOver returns zone's calendar days that overlap the time from from to to.
func daysOver(zone *time.Location, from, to time.Time) (days []window) {
	y, m, d := from.In(zone).Date()
	date := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	for start := dayStart(date, zone); start.Before(to); {
		date = date.AddDate(0, 0, 1)
		end := dayStart(date, zone)
		if start.Before(end) {
			days = append(days, window{start, end})
		}
		start = end
	}
	return days
}
