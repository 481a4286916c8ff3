// Command is a plain WASI command, without anything of spore's. The same in C is
// abi/testdata/guests/command.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unsafe"
)

var counter int

func main() {
	switch os.Getenv("PATH_INFO") {
	case "/count":
		files := 0
		if os.WriteFile("/state", []byte("1"), 0o600) == nil {
			files++
		}
		counter++
		fmt.Print(counter, " ", files)
	case "/env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
		fmt.Print(len(os.Args), " ", os.Args[0])
	case "/exit":
		fmt.Print("half an answer")
		fmt.Fprintln(os.Stderr, "cannot go on")
		os.Exit(3)
	case "/exit0":
		fmt.Print("whole")
		os.Exit(0)
	case "/large":
		_, _ = os.Stdout.Write(make([]byte, 7<<20))
	case "/bytes":
		_, _ = os.Stdout.WriteString("\xff\x00\xfe")
	case "/silent":
	case "/trap":
		fmt.Print(*(*byte)(unsafe.Add(unsafe.Pointer(&counter), 1<<30)))
	case "/spin":
		for {
			counter++
		}
	default:
		_, _ = io.Copy(upper{}, os.Stdin)
	}
}

// upper writes to standard output in upper case.
type upper struct{}

func (upper) Write(p []byte) (int, error) { return os.Stdout.Write(bytes.ToUpper(p)) }
