use super::*;
use serde_json::json;

fn data() -> Value {
    json!({
        "ID": "abc", "Name": "web", "Count": 3, "Ratio": 0.5, "On": true, "Nothing": null, "Empty": "",
        "Labels": {"a": "1", "b": "2", "c.d": "3"},
        "Ports": [{"Port": 80, "Kind": "tcp"}, {"Port": 443, "Kind": "udp"}],
        "Args": ["x", "y z"],
        "Spec": {"Task": {"Image": "nginx:latest"}},
        "Label": {"k": "v"}
    })
}

fn check(template: &str, expected: &str) {
    let rendered = Template::parse(template)
        .unwrap_or_else(|err| panic!("{template}: {err}"))
        .render(&data(), Missing::Error);
    assert_eq!(
        rendered.unwrap_or_else(|err| panic!("{template}: {err}")),
        expected,
        "{template}"
    );
}

fn refused(template: &str, why: &str) {
    let err = Template::parse(template)
        .and_then(|template| template.render(&data(), Missing::Error))
        .expect_err(template)
        .to_string();
    assert!(err.contains(why), "{template}: {err}");
}

#[test]
fn fields() {
    check("{{.ID}}: {{.Name}}", "abc: web");
    check("{{ .Spec.Task.Image }}", "nginx:latest");
    check("plain", "plain");
    check(
        "{{.Count}} {{.Ratio}} {{.On}} {{.Nothing}}",
        "3 0.5 true <nil>",
    );
    check("{{.Labels}} {{.Args}}", "map[a:1 b:2 c.d:3] [x y z]");
    check("{{.Labels.a}}{{(index .Ports 1).Kind}}", "1udp");
    check("{{$.Name}}{{.}}", &format!("web{}", print(&data())));
}

#[test]
fn conditions() {
    check("{{if .On}}yes{{else}}no{{end}}", "yes");
    check(
        "{{if .Empty}}yes{{else if .Count}}three{{else}}no{{end}}",
        "three",
    );
    check(
        "{{if not .Nothing}}x{{end}}{{if and .On .Empty}}y{{end}}{{if or .Empty .On}}z{{end}}",
        "xz",
    );
    check(
        "{{if eq .Name \"db\" \"web\"}}1{{end}}{{if ne .Count 3}}2{{end}}{{if lt .Count 4}}3{{end}}{{if ge .Name \"w\"}}4{{end}}",
        "134",
    );
    check(
        "{{with .Spec.Task}}{{.Image}}{{end}}{{with .Empty}}a{{else}}b{{end}}",
        "nginx:latestb",
    );
}

#[test]
fn loops() {
    check(
        "{{range .Ports}}{{.Port}}/{{.Kind}} {{end}}",
        "80/tcp 443/udp ",
    );
    check(
        "{{range $i, $p := .Ports}}{{if $i}}, {{end}}{{$p.Port}}{{end}}",
        "80, 443",
    );
    check(
        "{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}",
        "a=1;b=2;c.d=3;",
    );
    check("{{range .Nothing}}x{{else}}none{{end}}", "none");
    check(
        "{{range $x := .Args}}[{{$x}}]{{$.ID}}{{end}}",
        "[x]abc[y z]abc",
    );
}

#[test]
fn variables() {
    check("{{$n := .Name}}{{$n}}{{$n = \"db\"}}{{$n}}", "webdb");
    check("{{$n := 1}}{{if .On}}{{$n = 2}}{{end}}{{$n}}", "2");
    check("{{if $x := .Name}}{{$x}}{{end}}", "web");
}

#[test]
fn functions() {
    check("{{json .Spec}}", r#"{"Task":{"Image":"nginx:latest"}}"#);
    check("{{.Spec | json}}", r#"{"Task":{"Image":"nginx:latest"}}"#);
    check(
        "{{upper .Name}} {{.Name | upper | lower}} {{title \"ab cd\"}}",
        "WEB web Ab Cd",
    );
    check(
        "{{join .Args \", \"}} {{len .Args}} {{len .Name}}",
        "x, y z 2 3",
    );
    check("{{range split .ID \"b\"}}<{{.}}>{{end}}", "<a><c>");
    check(
        "{{index .Labels \"c.d\"}} {{index .Args 1}} {{index .Labels \"zz\"}}.",
        "3 y z .",
    );
    check(
        "{{printf \"%s-%d %q %5.1f|%-4s|%4s|%03d\" .Name .Count .ID .Ratio \"a\" \"b\" 7}}",
        "web-3 \"abc\"   0.5|a   |   b|007",
    );
    check(
        "{{println .Name .Count}}{{print .Name .ID}}",
        "web 3\nwebabc",
    );
    check(
        "{{truncate .Name 2}}|{{pad .Name 1 2}}|{{slice .Name 1}}|{{slice .Args 0 1}}",
        "we| web  |eb|[x]",
    );
    check("{{.Label \"k\"}}{{.Label \"none\"}}", "v");
    check("{{(len .Args) | printf \"%d of %d\" 1}}", "1 of 2");
    check("{{`raw \"x\"`}}{{\"a\\tb\"}}", "raw \"x\"a\tb");
}

#[test]
fn blanks_and_comments() {
    check("a {{- .ID -}} b", "aabcb");
    check("a{{/* nothing */}}b {{- /* nothing */ -}} c", "abc");
    check("{{if .On -}}\n x\n{{- end}}", "x");
    check("{{-3}}", "-3");
}

#[test]
fn mistakes() {
    refused("{{.ID", "unclosed action");
    refused("{{if .ID}}x", "without {{end}}");
    refused("{{end}}", "unexpected");
    refused("{{.Idd}}", "no such field");
    refused("{{.Name.More}}", "can't evaluate field More");
    refused("{{frobnicate .ID}}", "function \"frobnicate\" not defined");
    refused("{{}}", "missing value");
    refused("{{$x}}", "undefined variable");
    refused("{{index .Args 9}}", "out of range");
    refused("{{\"abc}}", "unterminated");
    refused("{{.Name .ID}}", "can't give argument");
    refused("{{join .Args}}", "wrong number of args");
    refused("{{range .Name}}{{end}}", "can't iterate");
    refused(&"{{if .On}}".repeat(500), "levels");
    refused(&format!("{{{{{}}}}}", "(".repeat(5000)), "levels");
}

#[test]
fn functions_leave_headings_alone() {
    let headings = serde_json::json!({"ID": "NETWORK ID", "Name": "NAME"});
    let heading = |text: &str| {
        let template = Template::parse(text).unwrap();
        template.render_headings(&headings).unwrap()
    };
    assert_eq!(
        heading("{{truncate .ID 3}}|{{upper .Name}}"),
        "NETWORK ID|NAME"
    );
    assert_eq!(heading("{{pad .Name 1 2}}|{{lower .Name}}"), " NAME  |NAME");
    assert_eq!(
        heading(r#"{{join .Name ","}}{{json .ID}}"#),
        "NAMENETWORK ID"
    );
}

#[test]
fn what_the_daemon_left_out() {
    let render = |text: &str| {
        Template::parse(text)
            .unwrap()
            .render(&json!({"Status": {"State": "x"}}), Missing::Empty)
    };
    assert_eq!(
        render("{{.Status.Err}}{{.Slot}}{{.Status.Message}}").unwrap(),
        "0"
    );
    assert_eq!(
        render("{{if .UpdateStatus}}a{{else}}b{{end}}").unwrap(),
        "b"
    );
    assert_eq!(render("{{range .Env}}a{{end}}").unwrap(), "");
    assert!(
        render("{{.UpdateStatus.State}}")
            .unwrap_err()
            .to_string()
            .contains("map has no entry for key \"UpdateStatus.State\"")
    );
    assert!(render("{{.Sttus}}").is_err());
}

#[test]
fn fields_have_the_names_of_gos_types() {
    let event = json!({"Type": "node", "scope": "swarm", "timeNano": 7, "Id": "x", "b": 1, "B": 2});
    let render = |text: &str| {
        Template::parse(text)
            .unwrap()
            .render(&event, Missing::Empty)
    };
    assert_eq!(
        render("{{.Type}} {{.Scope}} {{.TimeNano}} {{.ID}} {{.Id}} {{.b}}").unwrap(),
        "node swarm 7 x x 1"
    );
    assert!(render("{{.type}}").is_err());
}

#[test]
fn headings_stay_as_they_are() {
    let headings = json!({"ID": "ID", "Name": "NAME", "Label": "LABEL"});
    let render = |text: &str| {
        Template::parse(text)
            .unwrap()
            .render_headings(&headings)
            .unwrap()
    };
    assert_eq!(
        render(
            "{{.ID}}\t{{upper .Name}}\t{{lower .Name}}\t{{json .ID}}\t{{if .Name}}{{.Name}}{{else}}-{{end}}"
        ),
        "ID\tNAME\tNAME\tID\tNAME"
    );
}

/// Whatever people type, the answer is text or an error, never a panic.
#[test]
fn any_text_is_read_or_refused() {
    const PIECES: &[&str] = &[
        "{{",
        "}}",
        "{{-",
        "-}}",
        " ",
        ".",
        ".Name",
        ".Ports",
        "$",
        "$x",
        ":=",
        "=",
        "|",
        "(",
        ")",
        ",",
        "\"",
        "`",
        "\\",
        "if ",
        "else ",
        "end",
        "range ",
        "with ",
        "json ",
        "len ",
        "index ",
        "printf ",
        "\"%5.2q%\"",
        "slice ",
        "ö",
        "/*",
        "*/",
        "1",
        "-1",
        "9",
        "not ",
        "eq ",
        "true",
        "nil",
        "\n",
        "text",
        "pad ",
        "split ",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..30_000 {
        let mut text = String::new();
        for _ in 0..12 {
            // Knuth's MMIX generator; its high bits are good enough for this.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(PIECES[(seed >> 33) as usize % PIECES.len()]);
        }
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(&data(), Missing::Empty);
        }
    }
}
