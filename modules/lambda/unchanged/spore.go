package main

import _ "spore/guest/lambda/bridge" // runs lambda.Start in spore's sandbox, and does nothing on AWS
