package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Setting describes one variable.
type Setting struct {
	// Name is the variable's name in the environment.
	Name string
	// Type says in words what is allowed, as documents and faults print it.
	Type string
	// Default is the value that an absent variable has; "" where there is none.
	Default string
	// Secret tells that the value must not be shown.
	Secret bool

	field reflect.StructField
	index []int
}

// settings lists every variable in the order of the fields of Config.
func settings() []Setting {
	return settingsOf(reflect.TypeFor[Config](), nil)
}

func settingsOf(group reflect.Type, path []int) []Setting {
	var list []Setting
	for i := range group.NumField() {
		field := group.Field(i)
		index := append(append([]int{}, path...), i)
		name, isSetting := field.Tag.Lookup("env")
		if !isSetting {
			list = append(list, settingsOf(field.Type, index)...)
			continue
		}
		list = append(list, Setting{
			Name:    name,
			Type:    typeInWords(field),
			Default: field.Tag.Get("envDefault"),
			Secret:  isSecret(field.Type),
			field:   field,
			index:   index,
		})
	}
	return list
}

func isSecret(t reflect.Type) bool {
	_, ok := reflect.TypeAssert[redacting](reflect.Zero(t))
	return ok
}

// fault says what is wrong with value. Long values are cut: a fault is one line.
func (s Setting) fault(value string) error {
	const most = 200
	shown := fmt.Sprintf("%.*q", most, value)
	if s.Secret {
		shown = redacted
	}
	return fmt.Errorf("%s=%s is refused; allowed: %s", s.Name, shown, s.Type)
}

// typeInWords says what a field allows: its list of values, its rule, or its Go
// type with its bounds.
func typeInWords(field reflect.StructField) string {
	if oneof := field.Tag.Get("oneof"); oneof != "" {
		return "one of " + strings.ReplaceAll(oneof, ",", ", ")
	}
	if r, ok := rules()[field.Tag.Get("rule")]; ok {
		return r.words
	}
	if t, ok := reflect.TypeAssert[inWords](reflect.Zero(field.Type)); ok {
		return t.words()
	}
	return kindInWords(field)
}

func kindInWords(field reflect.StructField) string {
	words := "number"
	switch {
	case field.Type.Kind() == reflect.Bool:
		return "boolean: true or false"
	case field.Type == durationType():
		words = "duration"
	case field.Type.Kind() != reflect.Float64:
		words = "integer"
	}
	words += " of at least " + field.Tag.Get("min")
	if most := field.Tag.Get("max"); most != "" {
		words = strings.Replace(words, "of at least", "from", 1) + " to " + most
	}
	return words
}
