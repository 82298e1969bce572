// Package texts holds what people are sent: one template per text message and e-mail, with the data each may use.
//
// An installation replaces single templates by files of the same name in a folder of its own. Load renders every template
// twice, with everything filled in and with nothing, so that a field that does not exist, a subject of two lines or a
// template that ends in an error is found when the service starts, by file and line, and not when somebody waits for a PIN.
//
// E-mails are plain text. The last line of a text message with a PIN is not part of a template: it binds the PIN to the
// site, and a template must not be able to bind it to another.
package texts

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"
)

//go:embed templates
var own embed.FS

// Book is a set of templates. Its methods may be called at the same time.
type Book struct {
	site, host string
	templates  map[string]*template.Template
}

// Mail is a rendered e-mail.
type Mail struct{ Subject, Text string }

const (
	// extension is how the name of every template ends.
	extension = ".txt"
	// maxTemplate bounds a file: what people read has a page.
	maxTemplate = 16 << 10
	// maxSubject is what a list of e-mails shows at most, with room to spare.
	maxSubject = 200
	// maxText bounds what a text message carries, in bytes: three segments. The templates here need one.
	maxText = 459
)

// Load reads the templates for a site, such as https://concord.example. Those found in the folder replace the ones of the
// program; an empty folder name means that none do. The error names each mistake by file and line.
func Load(site, folder string) (*Book, error) {
	site = strings.TrimSuffix(site, "/")
	_, host, _ := strings.Cut(site, "://")
	host, _, _ = strings.Cut(host, "/")
	b := &Book{site: site, host: hostname(host), templates: map[string]*template.Template{}}
	var mistakes []error
	for name := range samples {
		text, err := own.ReadFile("templates/" + name + extension)
		if err != nil {
			return nil, fmt.Errorf("texts: the template %s is missing from the program", name)
		}
		mistakes = append(mistakes, b.add(name, name+extension, text))
	}
	if folder != "" {
		mistakes = append(mistakes, b.replace(folder))
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return b, nil
}

// hostname is the host of an address without its port.
func hostname(host string) string {
	if strings.HasPrefix(host, "[") {
		inside, _, _ := strings.Cut(host[1:], "]")
		return inside
	}
	name, _, _ := strings.Cut(host, ":")
	return name
}

// replace reads the templates of a folder.
func (b *Book) replace(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("texts: the folder of templates can't be read: %w", reason(err))
	}
	var mistakes []error
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		name, isTemplate := strings.CutSuffix(e.Name(), extension)
		switch {
		case strings.HasPrefix(e.Name(), "."): // what editors, mounts and version control leave there
			continue
		case !isTemplate || samples[name] == nil:
			mistakes = append(mistakes, fmt.Errorf("%s: there is no template of this name; there are %s", path, strings.Join(Names(), ", ")))
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", path, reason(err)))
			continue
		}
		mistakes = append(mistakes, b.add(name, path, text))
	}
	return errors.Join(mistakes...)
}

// reason leaves the path out of an error of the file system: it is told already.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// add parses a template and tries it.
func (b *Book) add(name, file string, text []byte) error {
	if len(text) > maxTemplate || !utf8.Valid(text) {
		return fmt.Errorf("%s:1: a template is text of at most %d bytes", file, maxTemplate)
	}
	parsed, err := template.New(file).Option("missingkey=error").Parse(strings.ReplaceAll(string(text), "\r\n", "\n"))
	if err != nil {
		return mistake(err)
	}
	b.templates[name] = parsed
	for _, data := range samples[name] {
		if name == pinText || name == mobileText {
			_, err = b.text(name, data)
		} else {
			_, err = b.mail(name, data)
		}
		if err != nil {
			return mistake(err)
		}
	}
	return nil
}

// mistake takes "template: " off the beginning of an error, after which file and line come.
func mistake(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "template: "))
}

// render fills a template in.
func (b *Book) render(name string, data any) (string, error) {
	var out bytes.Buffer
	if err := b.templates[name].Execute(&out, data); err != nil {
		return "", err
	}
	return out.String(), nil
}

// mail renders an e-mail: the first line is "Subject: ...", the second empty, the rest its text.
func (b *Book) mail(name string, data any) (Mail, error) {
	rendered, err := b.render(name, data)
	if err != nil {
		return Mail{}, err
	}
	file := b.templates[name].Name()
	head, text, _ := strings.Cut(rendered, "\n\n")
	subject, ok := strings.CutPrefix(head, "Subject: ")
	subject = strings.TrimSpace(subject)
	if !ok || subject == "" || strings.ContainsFunc(subject, unicode.IsControl) || utf8.RuneCountInString(subject) > maxSubject {
		return Mail{}, fmt.Errorf(`%s:1: the first line is "Subject: " and a subject of at most %d characters, then comes an empty line`, file, maxSubject)
	}
	if strings.TrimSpace(text) == "" {
		return Mail{}, fmt.Errorf("%s:3: the e-mail is empty", file)
	}
	return Mail{Subject: subject, Text: strings.TrimRight(text, "\n") + "\n"}, nil
}

// text renders a text message.
func (b *Book) text(name string, data any) (string, error) {
	rendered, err := b.render(name, data)
	if err != nil {
		return "", err
	}
	rendered = strings.TrimSpace(rendered)
	if rendered == "" || len(rendered) > maxText {
		return "", fmt.Errorf("%s:1: a text message has 1 to %d bytes", b.templates[name].Name(), maxText)
	}
	return rendered, nil
}
