# flt results report: one well-formed file that asks nothing of the network; texts in it cannot become markup.
. "$FLT_SOURCE_DIR/cli/tests/lib.sh"
expect 0 'adam' "$flt" eval --optimizers sgd,adam --tasks quadratic --steps 20 --seeds 2
expect 0 'fourier' "$flt" verify --check fourier,encoding
expect 0 '' "$flt" results tag 1 '<script>alert(1)</script>'
expect_sentence 0 'is written' "$flt" results report -o r.html
for id in overview checks errors times leaderboard curves provenance; do
    grep -q "id=\"$id\"" r.html || fail "no section $id"
done
grep -q 'figure-curves' r.html || fail 'no learning curves'
grep -q '<script>alert' r.html && fail 'a tag became a script'
grep -q '&lt;script&gt;alert' r.html || fail 'the tag is missing'
grep -Eq '(src|href)="?https?:|url\(|@import|<link[^>]*stylesheet' r.html && fail 'it asks the network'
[ "$(grep -o '<script' r.html | wc -l)" -eq 1 ] || fail 'more than one script'
if command -v python3 >/dev/null; then
    cat >check.py <<'PY'
import html.parser, sys
class P(html.parser.HTMLParser):
    stack = []
    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link", "path", "circle"): self.stack.append(tag)
    def handle_endtag(self, tag):
        if tag in ("path", "circle"): return
        assert self.stack and self.stack.pop() == tag, tag
p = P()
p.feed(open("r.html", encoding="utf-8").read())
assert not p.stack, p.stack
print("well formed")
PY
    expect 0 'well formed' python3 check.py
fi
expect_sentence 3 'cannot be written' "$flt" results report -o no/such/r.html
finish
