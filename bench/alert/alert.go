// Package alert is the JSON workload W2, compiled natively and into a guest.
package alert

import "encoding/json"

// Alert is a photo alert as a user's editor sends it.
type Alert struct {
	ID         string            `json:"id"`
	Nickname   string            `json:"nickname"`
	Place      Place             `json:"place"`
	Conditions []Condition       `json:"conditions"`
	Notify     map[string]string `json:"notify"`
	Notes      []string          `json:"notes"`
}

// Place is where the alert looks.
type Place struct {
	Query string  `json:"query"`
	Lat   float64 `json:"lat"`
	Lon   float64 `json:"lon"`
	TZ    string  `json:"tz"`
}

// Condition is one condition of an alert.
type Condition struct {
	Type   string   `json:"type"`
	Value  string   `json:"value,omitempty"`
	Values []string `json:"values,omitempty"`
	Per    string   `json:"per,omitempty"`
	MinMM  float64  `json:"min_mm,omitempty"`
	MaxMM  float64  `json:"max_mm,omitempty"`
}

type decision struct {
	Alert
	Decision string   `json:"decision"`
	Matched  []string `json:"matched"`
}

// Decide decodes an alert, looks at its conditions and encodes it again.
func Decide(body []byte) ([]byte, error) {
	var d decision
	if err := json.Unmarshal(body, &d.Alert); err != nil {
		return nil, err
	}
	d.Decision = "send"
	for _, c := range d.Conditions {
		d.Matched = append(d.Matched, c.Type)
	}
	return json.Marshal(&d)
}

// Sample is the alert that the benchmark sends, about 1 KB.
const Sample = `{"id":"a-17","nickname":"Snowy blue hour at the pier","place":{"query":"Haarlem, NL","lat":52.38084,"lon":4.63683,"tz":"Europe/Amsterdam"},` +
	`"conditions":[{"type":"sun","value":"evening_blue_hour"},{"type":"day_of_week","values":["sat","sun"]},` +
	`{"type":"precipitation_type","values":["snow","sleet"]},{"type":"precipitation_amount","per":"hour","min_mm":0.5,"max_mm":5},` +
	`{"type":"night","value":"nautical_dusk"},{"type":"day_of_week","values":["mon","tue","wed","thu","fri"]}],` +
	`"notify":{"slack":"#photo-alerts","email":"photographer@example.org","webhook":"https://example.org/hooks/alerts"},` +
	`"notes":["Bring the wide lens and the tripod, the railing shakes when trams pass.","Parking behind the station is free after six in the evening.",` +
	`"The lamps along the water are switched on about twenty minutes after sunset.","If the ice is closed, the harbour side has the better reflection.",` +
	`"Ask the keeper for the key to the upper gallery; it is worth the stairs.","Wind from the west makes the spray freeze on the filter, so bring cloths."]}`
