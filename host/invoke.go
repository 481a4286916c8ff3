package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"spore/abi"
	"spore/host/config"
	"spore/host/function"
)

// invokeOptions are invoke's flags.
type invokeOptions struct {
	event       string
	slack       string
	responseURL string
	hostURL     string
	path        string
	local       bool
	record      bool
	json        bool
}

func newInvoke() *cobra.Command {
	var opt invokeOptions
	cmd := &cobra.Command{
		Use:   "invoke NAME",
		Short: "send one event to a function and print what it answers",
		Long: "Invoke sends an event to the running host, through the function's route, or with --local\n" +
			"runs the function in this process and prints its logs and REPORT line too. With --slack it\n" +
			"signs and sends the form that Slack would send for that command, and prints the reply as\n" +
			"Slack would show it. With --record the outbound calls of a local run are written beside the\n" +
			"event's file, where warmup finds them.\n\n" +
			"The exit status is 0 after an answer with a status under 400, 2 when the command line makes\n" +
			"no sense or names a path that is not the function's, 3 when there is no such function and\n" +
			"after a 404, 4 for what is not allowed (401, 403), 5 at a deadline (504), 6 when no host\n" +
			"answers or there is no room (429, 503), and 1 for all else.",
		Example: "  spore invoke alerts -e modules/alerts/events/day.json\n" +
			"  spore invoke stats --slack \"/stats members\"\n" +
			"  echo hi | spore invoke hello --local -e -",
		Args:              oneArgument("function of functions.toml", "invoke hello"),
		ValidArgsFunction: completeFunction,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := cmd.Flags().GetString("config")
			if err != nil {
				return err
			}
			cfg, err := config.Load(path)
			if err != nil {
				return explainMissing(err)
			}
			if err := opt.check(cmd.Flags().Changed); err != nil {
				return &usageError{err}
			}
			return runInvoke(cmd, cfg, args[0], opt)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&opt.event, "event", "e", "", "file with the event's body; - reads standard input")
	f.StringVar(&opt.slack, "slack", "", `a slash command as typed, like "/stats members"`)
	f.StringVar(&opt.responseURL, "response-url", "https://hooks.slack.com/commands/T000/0/invoke", "with --slack: where late answers go")
	f.StringVar(&opt.hostURL, "host", "", "base URL of the host (default: listen of functions.toml)")
	f.StringVar(&opt.path, "path", "", "the request's path, with which a function with several routes or parameters is asked")
	f.BoolVar(&opt.local, "local", false, "run the function in this process instead")
	f.BoolVar(&opt.record, "record", false, "with --local and -e FILE: write the outbound calls to the recording beside FILE, for warmup")
	f.BoolVar(&opt.json, "json", false, "print JSON")
	for _, flag := range []string{"slack", "response-url", "host", "path"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions) // fails only for a flag that does not exist
	}
	return cmd
}

// check refuses flags that would take no notice of each other. given reports
// whether a flag was on the command line.
func (o *invokeOptions) check(given func(flag string) bool) error {
	slack := given("slack")
	switch {
	case given("path") && !strings.HasPrefix(o.path, "/"):
		return fmt.Errorf("--path %q does not begin with a slash; write it as in a URL, like /greet/Ada", o.path)
	case o.hostURL != "" && !isBaseURL(o.hostURL):
		return fmt.Errorf("--host %q is no base URL; write it like \"http://127.0.0.1:8080\"", o.hostURL)
	case o.record && (!o.local || o.event == "" || o.event == "-"):
		return errors.New("--record needs --local and an event file, beside which the recording is written")
	case slack && given("event"):
		return errors.New("--slack makes the event itself; leave out --event or --slack")
	case slack && strings.Trim(o.slack, "/ ") == "":
		return fmt.Errorf("--slack %q is no command; write it as it is typed, like \"/stats members\"", o.slack)
	case !slack && given("response-url"):
		return errors.New("--response-url needs --slack")
	}
	return nil
}

func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// answer is what came back, from a host or from this process.
type answer struct {
	Status    int               `json:"status"`
	RequestID string            `json:"request_id"`
	Headers   map[string]string `json:"headers"`
	Body      string            `json:"body"`
	Base64    []byte            `json:"body_base64,omitempty"` // in JSON instead of a body that is no UTF-8
}

func runInvoke(cmd *cobra.Command, cfg *config.Config, name string, opt invokeOptions) error {
	spec, err := findFunction(cfg, name)
	if err != nil {
		return err
	}
	req, err := newRequest(cfg, spec, opt)
	if err != nil {
		return err
	}
	var a *answer
	if opt.local {
		a, err = runLocally(cmd, cfg, spec, req, opt)
	} else {
		a, err = sendToHost(cmd, spec, req)
	}
	if err != nil {
		return err
	}
	if err := printAnswer(cmd.OutOrStdout(), a, opt); err != nil {
		return err
	}
	if a.Status >= 400 {
		return &function.Error{Kind: kindOfStatus(a.Status), Op: "invoke " + name, Err: errors.New(a.failure(opt.local))}
	}
	return nil
}

// failure says where to look for the reason of a status that is an error. A local
// run has printed its log.
func (a *answer) failure(local bool) string {
	text := fmt.Sprintf("status %d, request %s", a.Status, a.RequestID)
	if !local {
		text += "; the host's log may have more about it"
	}
	return text
}

func kindOfStatus(status int) abi.Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return abi.Denied
	case http.StatusNotFound:
		return abi.NotFound
	case http.StatusGatewayTimeout:
		return abi.Deadline
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return abi.Overloaded
	}
	return abi.GuestError
}

func findFunction(cfg *config.Config, name string) (*function.Spec, error) {
	i := slices.IndexFunc(cfg.Functions, func(f function.Spec) bool { return f.Name == name })
	if i < 0 {
		has := cmp.Or(strings.Join(functionNames(cfg), ", "), "none")
		return nil, &function.Error{Kind: abi.NotFound, Op: "invoke " + name, Err: fmt.Errorf("%s has no such function; it has %s", cfg.Path, has)}
	}
	return &cfg.Functions[i], nil
}

func functionNames(cfg *config.Config) (names []string) {
	for _, f := range cfg.Functions {
		names = append(names, f.Name)
	}
	return names
}

// completeFunction gives a shell the names of functions, as far as functions.toml can be read.
func completeFunction(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	path, _ := cmd.Flags().GetString("config")
	cfg, err := config.Load(path)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return functionNames(cfg), cobra.ShellCompDirectiveNoFileComp
}

func newAnswer(id string, status int, header http.Header, body []byte) *answer {
	a := &answer{Status: status, RequestID: id, Headers: map[string]string{}, Body: string(body)}
	for name, values := range header {
		a.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return a
}

func printAnswer(out io.Writer, a *answer, opt invokeOptions) error {
	var err error
	switch {
	case opt.json:
		if !utf8.ValidString(a.Body) {
			a.Body, a.Base64 = "", []byte(a.Body)
		}
		err = json.NewEncoder(steerless{out}).Encode(a)
	case opt.slack != "" && a.Status == http.StatusOK:
		err = printSlack(out, a.Body)
	default:
		_, err = fmt.Fprintf(out, "%d %s\n", a.Status, http.StatusText(a.Status))
		body := strings.TrimSuffix(a.Body, "\n")
		switch {
		case err != nil || a.Body == "":
		case isTerminal(out):
			err = printVisible(out, body)
		default:
			_, err = fmt.Fprintln(out, body)
		}
	}
	return err
}
