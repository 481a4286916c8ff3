package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"spore"
	"spore/host/function"
)

// The templates are ordinary Go, which the toolchain leaves alone in a directory
// whose name begins with _. They are written for a function called NAME. A go.mod
// among them would keep them from being embedded, so that one ends in .tmpl.
//
//go:embed all:_templates
var templateFiles embed.FS

// template is a kind of function that `spore new` can make.
type template struct {
	name, about string
	try         string // a command that makes it answer while it is served
	needs       string // what is not there offline, in a sentence; may be empty
}

var templates = []template{
	{name: "http", about: "GET and POST with a name, answered in JSON",
		try: "curl http://127.0.0.1:8080/NAME/Ada"},
	{name: "slack", about: "a Slack slash command, its signature checked by the host",
		try: `spore invoke NAME --slack "/NAME pick tea, coffee"`},
	{name: "alert", about: "asks a service, decides, and says why",
		try: "curl --data @events/hut.json http://127.0.0.1:8080/NAME"},
	{name: "schedule", about: "work for every few minutes that may safely be run twice",
		try: "curl --data @events/tick.json http://127.0.0.1:8080/NAME"},
	{name: "typed", about: "JSON in and out as Go structs, with validation",
		try: "curl --data @events/dinner.json http://127.0.0.1:8080/NAME"},
	{name: "lambda", about: "a function from AWS Lambda (needs aws-lambda-go from the network)",
		try:   "curl 'http://127.0.0.1:8080/NAME?name=Ada'",
		needs: "The first build takes github.com/aws/aws-lambda-go from the module cache or the network."},
}

// sdkDir is where a function keeps the SDK's source, until spore is published.
const sdkDir = "spore-sdk"

// created is what the new verb reports.
type created struct {
	Function  string   `json:"function"`
	Template  string   `json:"template"`
	Directory string   `json:"directory"`
	Files     []string `json:"files"` // without the SDK's
	SDK       string   `json:"sdk"`
	Next      []string `json:"next"` // commands

	needs string
}

func newNew() *cobra.Command {
	var kind string
	var list, asJSON bool
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "make a function from a template",
		Long: "New makes a directory NAME with a function that builds, has a test that passes, and is\n" +
			"ready to be served. It needs no network, and neither does what it makes, except by the\n" +
			"template lambda. The templates:\n\n" + templateTable(),
		Example: "  spore new greet\n  spore new dice --template slack\n  spore new --list",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case list && len(args) == 0 || !list && len(args) == 1:
				return nil
			case list:
				return &usageError{errors.New("--list takes no name")}
			}
			return &usageError{fmt.Errorf("name one function to make, as in: %s new greet", commandName())}
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return listTemplates(cmd.OutOrStdout(), asJSON)
			}
			made, err := create(args[0], kind)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(made)
			}
			return made.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&kind, "template", "t", "http", "what kind of function")
	cmd.Flags().BoolVar(&list, "list", false, "list the templates")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	_ = cmd.RegisterFlagCompletionFunc("template", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var words []string
		for _, t := range templates {
			words = append(words, t.name+"\t"+t.about)
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}) // fails only for a flag that does not exist
	return cmd
}

func templateTable() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, t := range templates {
		fmt.Fprintf(table, "  %s\t%s\n", t.name, t.about)
	}
	_ = table.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

func listTemplates(out io.Writer, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprintln(out, templateTable())
		return err
	}
	about := map[string]string{}
	for _, t := range templates {
		about[t.name] = t.about
	}
	return json.NewEncoder(out).Encode(about)
}

// create writes the function name into a directory of that name. A directory that
// it made and could not fill is removed again.
func create(name, kind string) (*created, error) {
	if err := checkNewName(name); err != nil {
		return nil, &usageError{err}
	}
	i := slices.IndexFunc(templates, func(t template) bool { return t.name == kind })
	if i < 0 {
		return nil, &usageError{fmt.Errorf("there is no template %q; they are\n\n%s", kind, templateTable())}
	}
	dir, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	fresh, err := makeEmpty(dir, name)
	if err != nil {
		return nil, err
	}
	files := render(name, kind)
	if err := writeAll(dir, files); err != nil {
		if fresh {
			_ = os.RemoveAll(dir)
		}
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	made := &created{Function: name, Template: kind, Directory: dir, SDK: sdkDir, needs: templates[i].needs}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasPrefix(file, sdkDir+"/") {
			made.Files = append(made.Files, file)
		}
	}
	made.Next = append(prepareShell(), "cd "+name, "go test ./...", "spore serve", strings.ReplaceAll(templates[i].try, "NAME", name))
	return made, nil
}

// checkNewName refuses what cannot be both a function and a Go module.
func checkNewName(name string) error {
	switch {
	case !function.IsName(name):
		return fmt.Errorf("%q cannot be a function's name: use up to 63 of a-z, 0-9 and -, a letter first. "+
			"It becomes a directory here, so no path either", name)
	case slices.Contains(goNames, name):
		return fmt.Errorf("a Go module cannot be called %s, which means something to Go already; try my-%s", name, name)
	}
	return nil
}

// goNames are the names of Go's own that a module called so would collide with:
// its library's top directories, what the go command gives a meaning to, and what
// it refuses in a path because Windows does.
var goNames = strings.Fields("archive bufio builtin bytes cmd cmp compress container context crypto database debug embed encoding errors " +
	"expvar flag fmt go hash html image index internal io iter log maps math mime net os path plugin reflect regexp runtime slices " +
	"sort std strconv strings structs sync syscall testing text time unicode unique unsafe vendor weak " +
	"all command-line-arguments main tool toolchain work spore " +
	"aux com1 com2 com3 com4 com5 com6 com7 com8 com9 con lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9 nul prn")

// makeEmpty makes dir, unless it is there and empty.
func makeEmpty(dir, name string) (fresh bool, err error) {
	err = os.Mkdir(dir, 0o755)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("make %s: %w; go to a directory that you may write to", name, err)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil:
		return false, fmt.Errorf("%s exists and is no directory to write to: %w", name, err)
	case len(entries) > 0:
		return false, fmt.Errorf("the directory %s exists and is not empty; take another name, or remove it", name)
	}
	return false, nil
}

// render returns the files of a new function by slash-separated path.
func render(name, kind string) map[string][]byte {
	files := map[string][]byte{}
	for _, dir := range []string{"_templates/shared", "_templates/" + kind} { // the second wins
		err := fs.WalkDir(templateFiles, dir, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := templateFiles.ReadFile(file)
			to := strings.TrimSuffix(strings.TrimPrefix(file, dir+"/"), ".tmpl")
			files[to] = []byte(strings.ReplaceAll(string(text), "NAME", name))
			return err
		})
		if err != nil {
			panic("new: internal error: read what is embedded: " + err.Error())
		}
	}
	for file, text := range spore.SDK() {
		files[path.Join(sdkDir, file)] = text
	}
	return files
}

func writeAll(dir string, files map[string][]byte) error {
	for file, text := range files {
		to := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// prepareShell returns what has to be done before the other commands work.
func prepareShell() []string {
	if _, err := exec.LookPath("spore"); err == nil {
		return nil
	}
	exe, err := os.Executable()
	if err != nil || filepath.Base(exe) != "spore" || commandName() != "spore" {
		return []string{"go build -o ~/go/bin/spore ./host", `export PATH="$PATH:$HOME/go/bin"`} // by `go run ./host`, in its source
	}
	return []string{`export PATH="$PATH:` + filepath.Dir(exe) + `"`}
}

func (c *created) print(out io.Writer) error {
	bold, plain := "", ""
	if wantsColour(out) {
		bold, plain = "\x1b[1m", "\x1b[0m"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s%s, a function from the template %s:\n\n", bold, c.Function, plain, c.Template)
	for _, file := range c.Files {
		fmt.Fprintf(&b, "  %s/%s\n", c.Function, file)
	}
	fmt.Fprintf(&b, "  %s/%s/ (the SDK's source, which is published nowhere yet)\n\n", c.Function, c.SDK)
	if c.needs != "" {
		b.WriteString(c.needs + "\n\n")
	}
	if _, err := exec.LookPath("go"); err != nil {
		b.WriteString("Go is not installed, and building functions needs it: https://go.dev/dl/\n\n")
	}
	b.WriteString("Next:\n\n")
	for i, command := range c.Next {
		if i == len(c.Next)-1 {
			b.WriteString("\nand in a second terminal, in the same directory and with the same PATH:\n\n")
		}
		fmt.Fprintf(&b, "  %s%s%s\n", bold, command, plain)
	}
	_, err := fmt.Fprintln(out, strings.TrimSuffix(b.String(), "\n"))
	return err
}
