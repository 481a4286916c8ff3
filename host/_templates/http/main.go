// NAME greets whoever a request names, in JSON.
package main

import (
	"context"
	"encoding/json"

	"spore/guest"
)

// What main does before Start happens once, at deploy. Every request starts from
// there, in a sandbox of its own: what handle leaves in a variable is gone when it
// has answered.
func main() { guest.Start(handle) }

type request struct {
	Name string `json:"name"`
}

type greeting struct {
	Greeting string `json:"greeting"`
}

type problem struct {
	Error string `json:"error"`
}

const maxName = 100 // bytes

func handle(_ context.Context, ev guest.Event) (guest.Result, error) {
	req := request{Name: ev.Params.Get("name")} // from the route with {name}, if it was that one
	if len(ev.Body) > 0 {
		if err := json.Unmarshal(ev.Body, &req); err != nil {
			return answer(400, problem{`send JSON such as {"name":"Ada"}`})
		}
	}
	if req.Name == "" || len(req.Name) > maxName {
		return answer(400, problem{"a name has 1 to 100 bytes"})
	}
	return answer(200, greeting{"Hello, " + req.Name + "!"})
}

// answer makes v the JSON answer. An error that handle returns is logged, and the
// client sees status 502 without its text.
func answer(status uint32, v any) (guest.Result, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return guest.Result{}, err
	}
	res := guest.JSON(body)
	res.Status = status
	return res, nil
}
