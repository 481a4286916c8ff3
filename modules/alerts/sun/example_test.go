package sun_test

import (
	"fmt"
	"time"

	"spore/modules/alerts/sun"
)

func ExamplePlace_Events() {
	longyearbyen := sun.Place{Lat: 78.22, Lon: 15.65}
	midnight := time.Date(2026, 2, 1, 0, 0, 0, 0, time.FixedZone("CET", 3600))
	for _, e := range longyearbyen.Events(sun.Standard(), midnight, midnight.AddDate(0, 0, 1)) {
		switch {
		case e.State != sun.OK && e.Name == sun.Sunrise:
			fmt.Println(e.Name, e.State)
		case e.Name == sun.CivilDawn, e.Name == sun.CivilDusk:
			fmt.Println(e.Name, e.Time.In(midnight.Location()).Format("15:04"))
		}
	}
	// Output:
	// civil_dawn 10:47
	// civil_dusk 13:36
	// sunrise always_down
}
