package main

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// figures are what the statistics service says about the members.
type figures struct {
	count   int64
	invited int64 // by a mentor; at most count
	latest  *member
}

type member struct {
	name   string // as the member typed it
	joined time.Time
}

// decode reads {"data":{"members_count", "invited_by_mentor_count",
// "latest_member"}}. Whatever is missing, of another type or impossible is an
// error; the error quotes nothing of the answer.
func decode(body []byte) (figures, error) {
	var a struct {
		Data struct {
			Members *int64          `json:"members_count"`
			Invited *int64          `json:"invited_by_mentor_count"`
			Latest  json.RawMessage `json:"latest_member"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return figures{}, describe(err)
	}
	d := a.Data
	switch {
	case d.Members == nil:
		return figures{}, errors.New("members_count is missing")
	case d.Invited == nil:
		return figures{}, errors.New("invited_by_mentor_count is missing")
	case d.Latest == nil:
		return figures{}, errors.New("latest_member is missing")
	case *d.Members < 0 || *d.Invited < 0:
		return figures{}, errors.New("a count is negative")
	case *d.Invited > *d.Members:
		return figures{}, errors.New("invited_by_mentor_count is above members_count")
	}
	latest, err := decodeMember(d.Latest)
	if err != nil {
		return figures{}, err
	}
	return figures{*d.Members, *d.Invited, latest}, nil
}

// decodeMember returns nil for null: there are no members.
func decodeMember(raw json.RawMessage) (*member, error) {
	var m *struct {
		Name   string `json:"name"`
		Joined string `json:"joined_at"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, describe(err)
	}
	if m == nil {
		return nil, nil
	}
	if strings.TrimSpace(clean(m.Name, maxName)) == "" {
		return nil, errors.New("latest_member.name is missing")
	}
	joined, err := time.Parse(time.RFC3339, m.Joined)
	if err != nil {
		return nil, errors.New("latest_member.joined_at is not a date")
	}
	return &member{m.Name, joined}, nil
}

// describe says why JSON could not be read without quoting it.
func describe(err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) && mismatch.Field != "" {
		return errors.New(mismatch.Field + " has the wrong type")
	}
	return errors.New("the answer is not the JSON it should be")
}
