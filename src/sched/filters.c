/* One row is one filter: whether a backend passes, and how a person is told why not. The reference, 4.5. */
#include "base/cleanup.h"
#include "base/text.h"
#include "sched/internal.h"

#include <math.h>
#include <string.h>
#include <unistr.h>

enum { SHOWN_MAX = 200 };

void add_shown(struct buf *out, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len;) {
		int n = u8_strmblen((const uint8_t *)text + i);
		size_t bytes = n > 0 ? (size_t)n : 1;

		if (i + bytes > SHOWN_MAX) {
			buf_adds(out, "…");
			return;
		}
		if (text_is_plain(text + i, bytes))
			buf_add(out, text + i, bytes);
		else
			buf_addc(out, ' ');
		i += bytes;
	}
}

void add_value(struct buf *out, const struct fact *f)
{
	CLEANUP(buf_release) struct buf value = { 0 };

	fact_json(f, &value);
	buf_adds(out, " is ");
	add_shown(out, buf_text(&value));
	out->failed |= value.failed;
}

/* Not up: nothing else about it is worth saying. */

static bool state_pass(const struct want *w, const struct sched_backend *b)
{
	return b->state == BACKEND_UP;
}

static void state_why(const struct want *w, const struct sched_backend *b, struct buf *out)
{
	const char *word = b->state == BACKEND_DISABLED ? "disabled" : "down";
	const char *reason = b->state_reason ? b->state_reason : "";

	if (!strncmp(reason, word, strlen(word))) {
		buf_adds(out, reason);
		return;
	}
	buf_adds(out, word);
	if (*reason)
		buf_addf(out, "%s%s", strncmp(reason, "since ", 6) ? ": " : " ", reason);
}

/* What has failed this volume is not tried again. */

static bool attempted_idle(const struct want *w)
{
	return !w->r->attempted || !w->r->attempted[0];
}

static bool attempted_pass(const struct want *w, const struct sched_backend *b)
{
	for (size_t i = 0; w->r->attempted && w->r->attempted[i]; i++) {
		if (!strcmp(w->r->attempted[i], b->name))
			return false;
	}
	return true;
}

static void attempted_why(const struct want *w, const struct sched_backend *b, struct buf *out)
{
	buf_adds(out, "has failed this volume already");
}

/* The zone that was asked for, and the zones that the type allows. */

/* The next of "a, b,c", from *at on; its length 0: there is none. */
static struct word next_zone(const char **at)
{
	struct word w;

	*at += strspn(*at, ", \t");
	w = (struct word){ *at, strcspn(*at, ",") };
	*at += w.len;
	while (w.len && strchr(" \t", w.text[w.len - 1]))
		w.len--;
	return w;
}

bool sched_zone_listed(const char *zones, const char *zone)
{
	struct word w;

	while ((w = next_zone(&zones)).len) {
		if (w.len == strlen(zone) && !memcmp(w.text, zone, w.len))
			return true;
	}
	return false;
}

static void add_zones(struct buf *out, const char *zones)
{
	struct word w = next_zone(&zones);

	if (!w.len)
		buf_adds(out, "none");
	for (const char *before = ""; w.len; w = next_zone(&zones), before = ", ")
		buf_addf(out, "%s%.*s", before, (int)w.len, w.text);
}

static bool zone_idle(const struct want *w)
{
	return !w->zone && !w->zones;
}

static bool zone_pass(const struct want *w, const struct sched_backend *b)
{
	if (w->zone && strcmp(w->zone, b->zone) != 0)
		return false;
	return !w->zones || sched_zone_listed(w->zones, b->zone);
}

static void zone_why(const struct want *w, const struct sched_backend *b, struct buf *out)
{
	if (w->zone && w->zones && !sched_zone_listed(w->zones, w->zone)) {
		buf_addf(out, "zone %s is wanted, but the type allows only ", w->zone);
		add_zones(out, w->zones);
	} else if (w->zone) {
		buf_addf(out, "is in zone %s, zone %s wanted", b->zone, w->zone);
	} else {
		buf_addf(out, "is in zone %s, the type allows ", b->zone);
		add_zones(out, w->zones);
	}
}

/* Room: the decision list of the reference, by its rows. */

static bool is_here(const struct want *w, const struct sched_backend *b)
{
	return w->r->exists_on && !strcmp(w->r->exists_on, b->name);
}

int capacity_without_numbers(const struct want *w, const struct sched_backend *b)
{
	if (is_here(w, b)) /* 1 */
		return 1;
	if (w->need == 0) /* 2 */
		return 1;
	if (b->free.is == SCHED_UNSET) /* 3 */
		return 0;
	if (b->free.is != SCHED_NUMBER) /* 4 */
		return 1;
	if (b->total.is == SCHED_INFINITE || b->total.is == SCHED_UNKNOWN) /* 5 */
		return b->reserved_percentage == 0;
	return b->total.gib > 0 ? -1 : 0; /* 6 */
}

/* Row 7: more would be promised than the ratio allows. Row 8 says nearly the same; but where everything is reserved,
 * there is nothing to divide by, and row 8 alone decides. (With a ratio of 1 or more, what does not exceed what is available
 * need not be divided.) */
static bool is_promised_too_often(
	const struct want *w, const struct sched_backend *b, const struct capacity *c)
{
	double promised = b->provisioned + w->need;

	return promised > c->available && c->available > 0 && promised / c->available > c->ratio;
}

static bool capacity_pass(const struct want *w, const struct sched_backend *b)
{
	int words = capacity_without_numbers(w, b);
	struct capacity c;

	if (words >= 0)
		return words;
	c = capacity_of(w, b);
	if (w->memo)
		w->memo[b - w->all] = (struct memo){ w->choice, c.virtual_free };
	if (c.thin && (c.ratio < 1 || is_promised_too_often(w, b, &c))) /* 7, 9 */
		return false;
	return c.virtual_free >= w->need; /* 8, 10 */
}

/* One digit after the point, rounded so that what is free never looks enough when it is not. */
static void add_size(struct buf *out, double gib, bool up)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double bytes = gib * GIB, tenths;
	size_t i = 0;

	if (bytes < 0)
		bytes = 0;
	for (; bytes >= 1024 && i + 1 < sizeof units / sizeof units[0]; i++)
		bytes /= 1024;
	tenths = up ? ceil(bytes * 10) : floor(bytes * 10);
	buf_addf(out, "%.*f %s", fmod(tenths, 10) != 0, tenths / 10, units[i]);
}

static void add_promises(const struct sched_backend *b, const struct capacity *c, struct buf *out)
{
	if (!c->thin && b->free.gib <= c->virtual_free)
		return;
	buf_adds(out, " (");
	add_size(out, b->provisioned, true);
	buf_adds(out, " of ");
	add_size(out, c->available, false);
	buf_adds(out, " are promised)");
}

static void capacity_why(const struct want *w, const struct sched_backend *b, struct buf *out)
{
	struct capacity c = capacity_of(w, b);

	if (b->free.is == SCHED_UNSET) {
		buf_adds(out, "has not said what is free");
	} else if (!c.known) {
		buf_addf(out, "its total is not known, and %g%% of it are reserved",
			b->reserved_percentage);
	} else if (b->total.gib <= 0) {
		buf_adds(out, "has no capacity at all");
	} else if (c.thin && c.ratio < 1) {
		buf_addf(out, "is thin, and its over-subscription ratio %g is below 1", c.ratio);
	} else {
		add_size(out, c.virtual_free, false);
		buf_adds(out, " free, ");
		add_size(out, w->need, true);
		buf_adds(out, " wanted");
		add_promises(b, &c, out);
	}
}

/* Capabilities against the type's extra specs. */

static bool is_attached(const struct sched_request *r)
{
	const struct path attach = path_of("attach_status", strlen("attach_status"));
	const struct path status = path_of("status", strlen("status"));
	const struct fact *f = facts_find(r->volume, &attach);

	if (f && f->kind == FACT_TEXT)
		return strcmp(f->text, "detached") != 0;
	f = facts_find(r->volume, &status);
	return f && f->kind == FACT_TEXT && !strcmp(f->text, "in-use");
}

/* It can extend only what nobody uses, and somebody uses this volume. */
static bool only_offline(const struct want *w, const struct sched_backend *b)
{
	struct path online;
	const struct fact *f;

	if (!w->r->extending)
		return false;
	online = path_of("online_extend_support", strlen("online_extend_support"));
	f = facts_find(b->capabilities, &online);
	return f && f->kind == FACT_BOOL && !f->integer && is_attached(w->r);
}

/* The first extra spec that it does not meet; NULL: none. */
static const struct requirement *unmet(const struct sched_type *t, const struct sched_backend *b)
{
	for (size_t i = 0; t && i < t->count; i++) {
		const struct fact *f = facts_find(b->capabilities, &t->requirement[i].path);

		if (!f || !requirement_met(&t->requirement[i], f))
			return &t->requirement[i];
	}
	return NULL;
}

static bool capabilities_idle(const struct want *w)
{
	return !w->r->extending && (!w->r->type || !w->r->type->count);
}

static bool capabilities_pass(const struct want *w, const struct sched_backend *b)
{
	return !only_offline(w, b) && !unmet(w->r->type, b);
}

static void capabilities_why(const struct want *w, const struct sched_backend *b, struct buf *out)
{
	const struct requirement *r;
	const struct fact *f;

	if (only_offline(w, b)) {
		buf_adds(out, "cannot extend a volume that is attached");
		return;
	}
	r = unmet(w->r->type, b);
	f = facts_find(b->capabilities, &r->path);
	buf_addf(out, f ? "its capability '" : "has no capability '");
	add_shown(out, r->key);
	buf_adds(out, "'");
	if (f)
		add_value(out, f);
	buf_adds(out, ", the type wants ");
	buf_adds(out, r->text ? "'" : "");
	add_shown(out, r->text ? r->text : "null");
	buf_adds(out, r->text ? "'" : "");
}

/* Where other volumes are. */

static bool holds(const struct sched_hint *h, const struct want *w, const struct sched_backend *b)
{
	size_t at = (size_t)(b - w->all), low = 0, high = h->on_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (h->on[middle] == at)
			return true;
		if (h->on[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static void hint_why(const struct sched_hint *h, const char *otherwise, struct buf *out)
{
	buf_adds(out, h->bad ? h->bad : otherwise);
	if (!h->bad)
		add_shown(out, h->volumes);
}

static bool same_idle(const struct want *w)
{
	return !w->r->same.volumes;
}

static bool same_pass(const struct want *w, const struct sched_backend *b)
{
	const struct sched_hint *h = &w->r->same;

	return !h->volumes || (!h->bad && holds(h, w, b));
}

static void same_why(const struct want *w, const struct sched_backend *b, struct buf *out)
{
	hint_why(&w->r->same, "holds none of the volumes ", out);
}

static bool different_idle(const struct want *w)
{
	return !w->r->different.volumes;
}

static bool different_pass(const struct want *w, const struct sched_backend *b)
{
	const struct sched_hint *h = &w->r->different;

	return !h->volumes || (!h->bad && !holds(h, w, b));
}

static void different_why(const struct want *w, const struct sched_backend *b, struct buf *out)
{
	hint_why(&w->r->different, "holds one of the volumes ", out);
}

/* Its own function, and the volume's query. */

static bool query_idle(const struct want *w)
{
	return query_is_empty(w->r->query);
}

static bool json_pass(const struct want *w, const struct sched_backend *b)
{
	return query_passes(w->r->query, b);
}

static void json_why(const struct want *w, const struct sched_backend *b, struct buf *out)
{
	query_why(w->r->query, b, out);
}

static const struct filter state_filter = { "state", NULL, state_pass, state_why };

static const struct filter filters[] = {
	{ "availability_zone", zone_idle, zone_pass, zone_why },
	{ "capacity", NULL, capacity_pass, capacity_why },
	{ "capabilities", capabilities_idle, capabilities_pass, capabilities_why },
	{ "same_backend", same_idle, same_pass, same_why },
	{ "different_backend", different_idle, different_pass, different_why },
	{ "driver", NULL, function_passes, function_why },
	{ "json", query_idle, json_pass, json_why },
	{ "ignore_attempted", attempted_idle, attempted_pass, attempted_why },
};

const struct filter *filter_find(const char *name)
{
	for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
		if (!strcmp(filters[i].name, name))
			return &filters[i];
	}
	return NULL;
}

const struct filter *filter_state(void)
{
	return &state_filter;
}
