/*
 * The folder's map: what each file of engine/ offers to its siblings.
 *
 *      a call of engine.h ─▶ request ─▶ writer: apply() ─▶ commit ─▶ hooks ─▶ done()
 *                                                            └─▶ job ─▶ queue of its backend ─▶ worker: steps ─▶ request …
 *
 * Threads: the store's writer (apply, notes, done); per backend a monitor (statistics, fencing) and workers of each class of jobs
 * (driver calls, which may hang for ever); one ticker (what is due later, who is overdue).
 * Locks, none held over a driver call, a commit or a hook: engine.held_lock → backend.lock → engine.later_lock. turns_lock and snaps_lock are
 * leaves.
 *
 * Invariants:
 *  (1) a volume that is creating, deleting, extending, reverting, managing or unmanaging has a job row, and so has a snapshot that is
 *      creating, restoring or deleting; the row goes in the transaction that settles them.
 *  (2) while an image may exist that no settled volume names, a job row names it (JOB_CLEAN for given-up attempts).
 *  (3) a job is in memory (backend.jobs) at most once, from when it is known until its row is gone: so it is run by one
 *      worker. The job table is the only to-do list; memory holds a window of it.
 *  (4) no driver function that changes something is called before `ready`: the addresses of this server are in the catalogue and
 *      those of earlier servers fenced.
 */
#ifndef VOLFS_ENGINE_INTERNAL_H
#define VOLFS_ENGINE_INTERNAL_H

#include "base/lock.h"
#include "engine/engine.h"
#include "engine/numbers.h"
#include "sched/sched.h"
#include "store/store.h"
#include "type.h"

#include <stdatomic.h>

struct job;
struct lane;
struct request;
struct backend;

/* --- queue.c: waiting jobs of one class of one backend, fair between projects --- */

/* Guarded by the backend's lock. `{ 0 }` is an empty one. */
struct queue {
	struct lane *lanes; /* hash by project */
	struct lane *turn;  /* ring of lanes that have jobs; the next to be served */
	size_t waiting;
};

void queue_push(
	struct queue *q, struct job *j); /* a lane that cannot be made: joins another one's */
struct job *queue_take(struct queue *q); /* NULL: none */
void queue_release(struct queue *q);	 /* lanes only; jobs are the caller's */

/* --- worker.c --- */

enum {
	BATCH_LIMIT = 64, /* creations of one driver call, whatever the driver could take */
	BATCHES =
		2, /* creations of a batching driver under way: few, so that they grow under load */
	SNAPS = 64,    /* of CLASS_SNAP under way: they only wait */
	WINDOW = 4096, /* jobs of one class of one backend in memory; more stay in the catalogue */
	JOB_BUCKETS = 1024,
};

enum job_state {
	JOB_WAITS,
	JOB_RUNS, /* in a worker */
	JOB_ENDS, /* its result is on the way into the catalogue */
};

/* A job in memory; in backend.jobs by id. */
struct job {
	int64_t id, volume, project;
	enum job_kind
		kind; /* … and class: who changes them has the job in JOB_ENDS, and queues it anew */
	enum job_class class;
	enum job_state state;
	bool given_up; /* an attempt at creation that has been abandoned: its image must go */
	bool counted;  /* holds one of engine.room */
	bool fresh; /* of JOB_CREATE: this server accepted it and has not begun it, so nobody has */
	bool alone; /* of JOB_PURGE: when it was tried last, nothing was being done to snapshots any more */
	unsigned failures; /* of JOB_CLEAN, for its pauses */
	struct backend *b;
	int64_t due_ns;	  /* when it waits anew */
	int64_t began_ns; /* when it was accepted, or read from the catalogue */
	struct job *next; /* in its lane, or in engine.late_jobs */
	struct job *hash_next;
	struct job *older, *newer; /* in the list of its class, by age */
	enum job_class listed;	   /* which that is */
	struct driver_progress progress;
	const char *doing;	/* b->lock; what progress counts; static; NULL: nothing */
	struct job *shown_next; /* b->lock; in backend.shown, if it counts anything */
};

/* A job while its steps run; the worker's alone. */
struct run {
	struct job *job;
	struct job_row row;
	struct volume source; /* row.source, as the catalogue has it now; id 0: none */
	struct snapshot snap; /* row.snapshot; id 0: none */
	int code;	      /* of the step that failed; 0 */
	bool left_over;	      /* undoing failed: something of it may be there */
	bool again;	      /* with code: not now; it stays as it is and is done again */
	bool stale;	      /* its row was gone: nothing to do */
	bool fresh;	      /* the job was, when this run began */
	struct err err;
};

/* Puts a job into memory, for a worker; one that is there already, or does not fit into the window, is left to the catalogue.
 * From a request's ended(); worker_offered(), after those of the whole batch, wakes the workers. began_ns: since when it is under way; 0:
 * from now on. */
void worker_offer(struct backend *b, const struct job_brief *brief, bool counted, int64_t began_ns);
void worker_offered(struct backend *b);

/* The result is in the catalogue: forgets the job. again: it waits anew, in the queue of its class. */
void worker_forget(struct job *j);
void worker_again(struct job *j);

/* Something may have become possible (ready, up): wakes workers. */
void worker_kick(struct backend *b);

/* Gives up the creations that wait or hang on a backend that is down. */
void worker_give_up(struct backend *b);

/* --- pace.c: which jobs may begin. Under b->lock --- */

unsigned pace_threads_max(const struct backend *b); /* for all that the limits allow */
/* Of which class the next one may begin now, creations first; CLASS_COUNT: of none. */
enum job_class pace_next_locked(const struct backend *b);
/* Is a worker to wait by the clock, for there is something to begin later? One is enough. How long, ns. */
bool pace_wants_timer_locked(const struct backend *b);
int64_t pace_timer_locked(const struct backend *b);
/* A worker has begun something of that class; its call has returned. */
void pace_began_locked(struct backend *b, enum job_class class);
void pace_ended_locked(struct backend *b, enum job_class class);

/* --- run.c --- */

/* Carries jobs out that a worker has taken; several: all of them creations of CLASS_CREATE. */
void run_jobs(struct backend *b, struct job **job, size_t count);

/* From here on its volume's `progress` counts `what` ("copy"; static; NULL: nothing), from 0, until the steps are over. Returns what a
 * driver's call is to count in: nobody sees it before that knows how much there is to do. A step's, which holds no lock. */
struct driver_progress *run_progress(struct run *r, const char *what);

/* --- step.c --- */

/*
 * An operation is a table of steps, ended by { 0 }. run() works on several jobs at once and sets code and err of those that fail;
 * undo() reverses what run() did or left half done: 0, or -errno when something may be left.
 */
struct step {
	const char *name;
	void (*run)(struct backend *b, struct run *const *run, size_t n);
	int (*undo)(struct backend *b, struct run *r);
};

struct op {
	enum job_kind kind;
	const struct step *steps;
	/* The result, for the writer. NULL: no memory, the job is to be done again after a pause, as with r->again. r stays the caller's. */
	struct request *(*finish)(struct backend *b, struct run *r);
};

extern const struct op op_create, op_purge, op_extend, op_clean, op_snap, op_unsnap, op_revert,
	op_adopt, op_disown;

/* Runs the steps on all n runs; each one that fails has its steps undone in reverse. */
void steps_run(const struct op *op, struct backend *b, struct run *const *run, size_t n);

/* A step of several operations: removes the image. */
void step_remove_image(struct backend *b, struct run *const *run, size_t n);
int image_remove(struct backend *b, struct run *r, struct err *err); /* and what was taken for it */
int image_undo(struct backend *b, struct run *r, struct err *err);   /* alone */
void run_image(const struct run *r, struct driver_image *ret); /* the one that its row names */

/* A driver said so: -ESHUTDOWN ends this process, for this server has been fenced. Returns code. */
int driver_said(struct backend *b, int code, const struct err *err);

/* --- backend.c: a backend's state, monitor, fencing --- */

enum { MEASURE_ASKED = 64, MEASURE_LATELY = 256 };

enum asked_what { ASKED_USED, ASKED_WATCHERS, ASKED_EVICT };

struct backend {
	struct engine *e;
	const struct backend_conf *conf;
	const struct driver *driver;
	void *be;
	int64_t id; /* row */

	struct lock lock;
	pthread_cond_t wake;	  /* lock: for idle workers */
	pthread_cond_t tick;	  /* lock: for the monitor */
	enum backend_state state; /* lock; DOWN or UP */
	bool ready;		  /* lock; see invariant 4 */
	bool looked;	  /* lock; this server knows its state, not only what the last one saw */
	char down_at[16]; /* lock; since when, as people read it */
	char reason[REASON_LEN + 1]; /* lock; why it is down */
	int64_t changed_us;	     /* lock */
	struct backend_stats stats;  /* lock */
	uint64_t settled;	     /* lock; allocated less pending when stats were taken */
	int64_t asked_ns;	     /* lock; when the statistics under way were asked for; 0 */
	int64_t trouble_ns;	     /* lock; since when it has been asked in vain; 0 */
	bool stopping;		     /* lock */

	struct expr *filter, *goodness; /* constant; NULL: it has none */
	struct facts *capabilities;	/* the writer thread's */
	struct facts *reported; /* lock; newer ones, until the writer thread takes them; NULL */
	char *report;		/* lock; as JSON; NULL: nothing yet */
	bool look_soon;		/* lock; statistics are wanted before they are due */
	bool scanning;		/* lock; somebody looks through what is unmanaged */
	int64_t scanned_ns;	/* lock; when that was begun last; 0: never */
	int64_t scan_took_ns;	/* lock; how long it took */
	atomic_uint adoptions;	/* how many are over: what was seen before may be a volume's */

	struct job *jobs[JOB_BUCKETS]; /* lock; hash by id, see invariant 3 */
	size_t job_count;	       /* lock */
	struct work {
		struct queue queue;
		struct window {
			int64_t loaded; /* rows up to it are in memory, or done */
			bool more;	/* there may be rows above it */
		} window;
		unsigned busy; /* workers that have taken of it: driver calls under way */
		struct job *oldest,
			*newest;       /* those in memory; as long as their class is this one */
	} work[CLASS_COUNT];	       /* lock */
	struct counter chosen, errors; /* see struct engine_backend_numbers */
	struct job *shown;	       /* lock; jobs that run and count how far they are */
	unsigned threads, idle;	       /* lock */
	int64_t calm_ns;  /* lock; until then creations come, though none waits or runs */
	int64_t paced_ns; /* lock; while they come, the next removal begins then */
	bool pacing;	  /* lock; a worker waits for paced_ns */
	bool loading;	  /* lock; a worker is reading a window */
	bool offered;	  /* lock; jobs of which the workers have not been told */

	struct asked {
		enum asked_what what;
		int64_t volume;
		struct request *q;	 /* ASKED_EVICT: to be submitted or refused afterwards */
	} asked[MEASURE_ASKED];		 /* lock; what the monitor is to ask the storage */
	unsigned asked_count;		 /* lock */
	struct engine_ready *when_ready; /* lock */
	struct lately {
		enum asked_what what;
		int64_t volume, at_ns;
	} lately[MEASURE_LATELY]; /* lock; what was asked for not long ago */

	struct lock view_lock; /* view; after lock */
	struct view *view;
	int64_t client;	    /* the monitor's: row of this server's address */
	char address[1024]; /* the monitor's */
	bool monitoring;    /* lock */
	bool comparing;	    /* lock; first_look.c's thread */
};

int backend_init(struct backend *b, struct engine *e, const struct backend_conf *conf,
	const struct driver *driver, struct err *err);
void backend_release(struct backend *b);
int backend_begin(struct backend *b, struct err *err); /* its row is known: starts the monitor */
void backend_overdue(struct backend *b);	       /* the ticker, every second */
/* Has it been down for longer than an answer may take? */
bool backend_lasting_down(struct backend *b, char why[REASON_LEN + 1]);
void backend_look_soon(struct backend *b);

void backend_name_thread(const struct backend *b, const char *what); /* the caller's: "work-ssd" */

/* A view's query under view_lock. */
int backend_job(struct backend *b, int64_t id, struct job_row *ret);

/* --- fence.c --- */

/* At each look of the monitor: b->address follows a new connection; what is earlier is fenced until b is ready. 0, or its failure. */
int fence_put_up(struct backend *b, struct err *err);

/* --- measure.c: what volumes really use; the monitor's thread. Gives b->lock up while it asks. --- */

bool measure_asked_locked(
	struct backend *b);	     /* false: no answer in time, so look at the backend at once */
void measure_end(struct backend *b); /* the monitor ends: who still waits is refused */

/* Asks at once, however lately it was asked. */
void measure_now(struct backend *b, int64_t volume);
/* The same of the eviction of q's watcher: false, too many are under way or the backend is not ready. */
bool measure_evict(struct backend *b, int64_t volume, struct request *q);

/* --- first_look.c: the catalogue and the storage are compared, once; the monitor's thread --- */

void first_look_begin(struct backend *b);

/* --- watchers.c: who has an image open outside; the monitor's thread --- */

int watchers_look(struct backend *b, const struct volume *v); /* -ETIMEDOUT: as of a measurement */
int watchers_evict(struct backend *b, const struct volume *v, struct request *q, struct err *err);

/* --- use.c --- */

enum { USE_WHO = 3 * NAME_LEN };
const char *use_who(
	const struct use *u, char text[USE_WHO]); /* "open for writing by uid 0, pid 12" */

/* Somebody began or ceased to use v: its status follows, and whoever looks at its uses is told. u: one that is in the catalogue now (begins), or was. */
int use_settle(
	struct request *q, struct tx *tx, struct volume *v, const struct use *u, bool begins);

/* What an operation that is over leaves: in-use or available. */
int use_status(struct tx *tx, int64_t volume, enum vol_status *ret);
bool use_multiattach(struct tx *tx, const struct volume *v);
void image_of(const struct volume *v, struct driver_image *ret);

/* --- place.c: which backend; the writer thread --- */

/* Where the room that is missing could come from, and a request's patience with it. { 0 }: from nowhere. */
struct reclaim {
	struct backend
		*b; /* once so many bytes of its trash are being purged, it may have room; NULL */
	uint64_t purging;
	bool measured; /* … and its statistics must say so, too: it promises no more than there is */
	bool wants;    /* a request's: the last apply() wants to be judged anew */
	int64_t until_ns; /* … how long it tries; 0: it has not begun */
	unsigned tries;
};

struct placement {
	struct backend *b;
	double weight;
	char others[512];    /* what else was weighed, and what was refused, for its history; "" */
	struct reclaim room; /* -ENOSPC: filled in */
};

/* A volume that has no backend yet. */
struct wanted {
	uint64_t size;
	const struct volume *from; /* what it is made from: on its backend, if that will do; NULL */
	const char *zone;	   /* NULL: any that the type lists */
	const char *project;
	const char *tried;	       /* job_row.tried */
	const struct sched_type *type; /* NULL: none */
	const struct hints *hints;
	const struct facts *volume; /* volume_facts() */
};

/* -ENOSPC with the sentence that names every backend, or tells why the source cannot be had. */
int place(struct engine *e, struct tx *tx, const struct wanted *w, struct placement *ret,
	struct err *err);

/* May the volume grow to `size` on the backend where it is? -ENOSPC: room is filled in. */
int place_more(struct engine *e, struct tx *tx, struct backend *b, const struct volume *v,
	uint64_t size, struct reclaim *room, struct err *err);

/* Is there room for as much again, for a snapshot? Of a backend that is down nobody knows: 0. */
int place_beside(struct engine *e, struct tx *tx, struct backend *b, const struct volume *v,
	struct err *err);

bool place_zone_known(const struct engine *e, const char *zone);
struct backend *backend_by_id(struct engine *e, int64_t id);
struct backend *backend_by_name(struct engine *e, const char *name);

/* --- hints.c --- */

/* A spec's hints. { 0 }: it has none. */
struct hints {
	char *same, *different; /* names and ids of volumes, by comma; NULL */
	struct query *query;	/* NULL */
};
int hints_take(const struct spec *s, struct hints *ret, struct err *err); /* -EINVAL: a query */
void hints_release(struct hints *h);

/*
 * Those of an accepted volume, from its spec, if any filter asks for them, and whether it names a zone, if zones is set. -ENOSPC with
 * a sentence: it cannot be read any more.
 */
int hints_again(struct engine *e, struct tx *tx, int64_t volume, bool zones, struct hints *ret,
	bool *ret_zoned, struct err *err);

/* Fills the hints of want, as the project sees them, for those filters that are configured; borrowed until the next call. */
int hints_find(struct engine *e, struct tx *tx, const struct hints *h, const char *project,
	struct sched_request *want);
void hints_end(struct engine *e);

/* The next name of a list: 1, 0 at its end (or NULL), -ENAMETOOLONG. */
int hint_next(const char **at, char name[NAME_LEN + 1]);
int hint_volume(
	struct tx *tx, const char *name, int64_t *ret_id); /* by name or id; perhaps trashed */
int hint_query(const char *text, struct query **ret, struct err *err);

/* --- capabilities.c: what the scheduler is told of backends and volumes --- */

/* Makes anew what a backend reports; before its new numbers are told to anybody. */
void capabilities_report(struct backend *b, const struct backend_stats *stats);
const struct facts *capabilities_locked(
	struct backend *b); /* the newest, until the next call; the writer thread */
int functions_compile(struct backend *b, struct err *err);
void capabilities_release(struct backend *b);

/* A volume's properties, for functions. NULL: nobody asks for them. */
int volume_facts(const struct engine *e, const struct volume *v, const char *zone,
	struct facts **ret, struct err *err);
static inline void free_facts(struct facts **f)
{
	facts_free(*f);
}

/* --- request.c --- */

enum { WHO_LEN = 64 };

/* What a user has so many of at a time, each counted by itself (turns.c). */
enum turn {
	TURN_CREATE, /* creations that have room or wait for it */
	TURN_WRITE,  /* requests at the writer */
	TURNS
};

/*
 * One change on its way through the writer; the first member of each operation's own struct, made by request_new().
 * apply() runs in the writer's transaction and may run again (a batch that was lost and is tried anew): it keeps nothing in memory
 * but what it overwrites the next time.
 */
struct request {
	struct change change;
	struct engine *e;
	struct change_id id;
	uid_t uid;
	pid_t pid; /* as the next: only where somebody asked */
	bool admin, asked;
	char who[WHO_LEN];  /* for the log of the daemon */
	char user[WHO_LEN]; /* its name, for events; "": there is none, or it is not known */
	engine_done *done;
	void *arg;
	int64_t volume, row;
	int (*apply)(struct request *q, struct tx *tx, struct err *err);
	void (*ended)(struct request *q, int code); /* after the commit, before done; may be NULL */
	void (*release)(struct request *q);	    /* of what the struct owns; may be NULL */
	/* It failed with code: true, it has been put aside and is submitted again; NULL: never. Before the answer. */
	bool (*divert)(struct request *q, int code);
	int refused; /* set: not applied, answered with this and the sentence */
	char *sentence;
	enum engine_op op;   /* counted when it is answered; 0: not */
	int64_t began_ns;    /* with op */
	bool must;	     /* a result: tried again until it is in the catalogue */
	bool counted[TURNS]; /* by turns.c */
	bool wait;	     /* a creation: it waits for room */
	bool waits;	     /* put aside by later_in_ms(), once at least */
	unsigned tries;
	int64_t due_ns; /* when it is tried again */
	struct request *next;
};

/* size: of the struct around it, which is zeroed. who NULL: volfs itself. NULL: no memory; then done has been called. The name of who is
 * asked of the system, if it is not remembered: in the caller's thread. */
void *request_new(struct engine *e, size_t size, struct change_id id, const struct caller *who,
	engine_done *done, void *arg);
/* Of one that was made without it: who asks, by name only if that is remembered. */
void request_asked_by(struct request *q, const struct caller *who);
void request_submit(struct request *q);

/* Its answer is to be counted as an operation's. */
void request_counts(struct request *q, enum engine_op op);

/* Answers code from a thread of the engine; err may be NULL. */
void request_refuse(struct request *q, int code, const struct err *err);
/* Refuses it if code is negative, or else submits it. */
void request_send(struct request *q, int code, const struct err *err);

/* Runs apply in the writer and waits for it: for start and monitors. ret_row, err may be NULL. */
int request_wait(struct request *q, int64_t *ret_row, struct err *err);

/* What a change did, for hooks.changed; in apply(). Forgotten if the change fails. */
void note(struct engine *e, struct change_note n);
void note_volume(struct engine *e, int64_t id, unsigned mask, enum vol_status status, bool trashed);
void note_quota(struct engine *e, int64_t project);

/* What happened, for the log and the histories, under the reference's name of it (6.7) where it has one; in apply(): of a volume; … */
int request_event(struct request *q, struct tx *tx, int64_t volume, const char *event,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* … of a snapshot of it; of anything else, by its name: project (row) 0 for administrators alone. */
int request_event_snap(struct request *q, struct tx *tx, int64_t volume, const char *snapshot,
	const char *event, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
int request_event_of(struct request *q, struct tx *tx, int64_t project, const char *name,
	const char *event, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* A job that this change has made is for the workers, once the change is in the catalogue; in apply(). Forgotten as notes are. -ENOMEM. */
int request_offer(struct request *q, struct backend *b, const struct job_row *job);

/* --- trash.c --- */

/* rmdir: into the trash, or where that keeps nothing, on its way out at once. */
int trash_put(struct request *q, struct tx *tx, const struct volume *v);
/* A limit of the project's (type 0), or of a type's in it, is lower now. */
int trash_fit(struct request *q, struct tx *tx, const char *project, int64_t type);

/* The ticker: begins what has expired. */
void trash_tick(struct engine *e);

/* --- reclaim.c: room that lies in the trash --- */

/* From apply(), which has found no room: -EAGAIN, to be diverted; or -ENOSPC with what err says and what was tried. */
int reclaim_wanted(struct reclaim *own, const struct reclaim *found, struct err *err);
/* From divert(): purges begin, and the request is judged anew. false: it is not about room, or the engine stops. */
bool reclaim_divert(struct request *q, struct reclaim *own, int code);
void reclaim_begin(struct backend *b, uint64_t purging);

/* --- ids.c: new ones --- */

void new_uuid(char ret[UUID_LEN + 1]);
void new_image_id(char ret[IMAGE_ID_LEN + 1]);

/* --- outcome.c --- */

/* The row of a job about v's image on b, to be completed. */
int job_for(struct tx *tx, const struct backend *b, const struct volume *v, enum job_kind kind,
	enum job_class class, struct job_row *ret);
/* Adds it, and the workers have it once that is in the catalogue; in apply(). */
int job_begin(struct request *q, struct tx *tx, struct backend *b, struct job_row *job);

/* What a run came to, on its way into the catalogue: begins an operation's own struct. */
struct outcome {
	struct request q;
	struct backend *b;
	struct job *job;
	int64_t id, volume, snapshot; /* rows: of the job, and of what it names */
	uint64_t size;		      /* as the job's row says */
	int code;
	bool left_over;
	enum engine_op op;
	int64_t began_ns;
	char uuid[UUID_LEN + 1], sentence[ERR_TEXT_MAX];
};

/* size: of the struct around it, which is zeroed. Its ended() counts what it came to, and forgets the job. NULL: no memory. */
void *outcome_new(struct backend *b, const struct run *r, size_t size,
	int (*apply)(struct request *q, struct tx *tx, struct err *err));
void outcome_ended(struct request *q, int code);
void outcome_reason(const struct outcome *o, char reason[REASON_LEN + 1]); /* "ssd: cannot …" */

/* --- numbers.c --- */

/* What is counted of each operation. Any thread. */
enum engine_op op_of_job(enum job_kind kind);
void op_accepted(struct engine *e, enum engine_op op);
void op_ended(struct engine *e, enum engine_op op, int code, int64_t began_ns);
/* The job goes on as one of another kind: what it was has ended with code. */
void op_turned(struct job *j, enum job_kind to, int code);

/* --- op_purge.c --- */

/* From here on what lies in the trash is being removed; in apply(). why: for its history. */
int purge_begin(struct request *q, struct tx *tx, const struct volume *v, const char *why);
/* The end of a volume: its row goes, and only the memory of it stays. */
int purge_row(struct request *q, struct tx *tx, const struct volume *v);
void note_gone(struct request *q, const struct volume *v, enum vol_status status, bool purged);

/* --- unmanaged.c --- */

/* Looks through what is on the backend, in a thread of its own, if that is due. */
void unmanaged_due(struct backend *b, bool asked);
void note_unmanaged(struct engine *e, int64_t backend);

/* Is that how volumes' images are called? */
bool image_is_ours(const char *name, char ret_uuid[UUID_LEN + 1]);

/* --- ticker.c: what is due later --- */

void later_request(struct request *q); /* tries++, pauses */
/* Submits it again in ms, or when somebody takes it before. false: the engine stops, it is to be answered now. From divert(). */
bool later_in_ms(struct request *q, long ms);
/* Takes one of those that wait; NULL: it is gone, or was never there. is NULL: any. */
struct request *later_take(
	struct engine *e, bool (*is)(const struct request *q, uint64_t what), uint64_t what);
void later_job(struct job *j); /* failures++, pauses, then worker_again() */
int ticker_start(struct engine *e);
void ticker_stop(struct engine *e);

/* --- project.c --- */

/* Name of the project for a spec: the caller's primary group, or `wanted` if that is allowed. -EACCES, -ENOENT. */
int project_of(struct engine *e, const struct caller *who, const char *wanted,
	char name[NAME_LEN + 1], gid_t *ret_gid, struct err *err);
int project_of_gid(struct engine *e, gid_t gid, char name[NAME_LEN + 1], struct err *err);
void project_release(struct engine *e);
/* Name of a user, "" if there is none or it cannot be had. ask: of the system, if it is not remembered. */
void user_name(struct engine *e, uid_t uid, bool ask, char *name, size_t room);

/* The catalogue as a check reads it: in a thread of fs (v), or in the writer's transaction (tx). */
struct reader {
	struct view *v;
	struct tx *tx;
};

/* --- adopt_snaps.c --- */

int adopt_snaps(struct backend *b, struct run *r); /* all of them; in the worker */

/* Each snapshot of what was to be adopted: available, or forgotten. */
int adopt_snaps_end(struct engine *e, struct tx *tx, int64_t volume, bool adopted);

/* --- unused.c: nobody uses a volume --- */

/* Begins the struct of a request that wants so; its divert is unused_divert. */
struct unused {
	struct request q;
	enum {
		UNUSED_GO_ON,
		UNUSED_TRY_AGAIN,
		UNUSED_LOOK
	} next;			   /* of the last apply(): what it wants before it runs again */
	int64_t patience_ns;	   /* until when it waits for a close; 0: it did not yet */
	struct backend *at;	   /* UNUSED_LOOK: whom to ask */
	struct driver_image image; /* … of what */
	bool looked;		   /* the storage was asked */
	uint64_t look;		   /* number of the question */
	int said;		   /* its answer */
};

/* In apply(): first; then whether it is attached, or open here; last of all checks whether it is open outside. -EBUSY with a sentence, which
 * may not be the last word. */
void unused_begin(struct unused *u);
int unused_here(struct unused *u, struct tx *tx, const struct volume *v, struct err *err);
int unused_outside(struct unused *u, const struct volume *v, struct err *err);
bool unused_divert(struct request *q, int code);

/* As request_submit(), from any thread. v: what was read of the volume, and all that could be seen there allows it; NULL. */
void unused_submit(struct unused *u, const struct volume *v);

/* --- snapshots.c, op_unsnap.c --- */

/* -ENOTEMPTY with a sentence: the volume has snapshots (with names). For what makes it go. */
int snapshots_check(struct tx *tx, const struct volume *v, struct err *err);

/* -EBUSY with a sentence: a snapshot is being taken of it. For what changes its size. */
int snapshots_rest(struct tx *tx, const struct volume *v, struct err *err);

/* One that has a name, of a volume that is alive. -ENOENT with a sentence. */
int snapshot_live(struct tx *tx, int64_t id, struct snapshot *ret, struct volume *ret_volume,
	struct err *err);

/* A purge begins: those of its snapshots that could not be removed are removed, before the image. */
int snapshots_end(struct request *q, struct tx *tx, struct backend *b, const struct volume *v);

/* From here on it is being removed: name and quota are free. Its job goes on as it stands in job, and keeps the name. */
int snapshot_nameless(struct request *q, struct tx *tx, const struct volume *v,
	const struct snapshot *s, struct job_row *job);

/* Whoever sends the request of that JOB_SNAP again finds an answer: see the row. */
int snapshot_answered(struct tx *tx, const struct job_row *job);

/* What changed of it, for hooks.changed. */
void snapshot_note(struct engine *e, const struct volume *v, int64_t snapshot);
int snapshot_note_quota(struct engine *e, struct tx *tx, const struct volume *v);

/* As the driver wants them, of a job's snapshot; and its removal. */
void snapshot_of_run(const struct run *r, struct driver_image *image, struct driver_snap *snap);
/* Who opened it while its rmdir was being committed keeps it until then: r->again. */
int snapshot_remove_image(struct backend *b, struct run *r);

/* --- snapshot_wait.c: who waits until a snapshot has been taken --- */

struct snap_wait;
struct snap_wait *snap_wait_new(
	struct engine *e, engine_done *done, void *arg); /* NULL: no memory */

/* The writer's thread, after the commit: it is refused, or known already; it was accepted; the job is done. text: the sentence if code < 0. */
void snap_wait_over(struct snap_wait *w, const struct result *res);
void snap_wait_for(struct snap_wait *w, int64_t snapshot);
void snap_wait_answer(struct engine *e, int64_t snapshot, int code, const char *text);

void snap_wait_due(struct engine *e);	  /* the ticker: who waits for too long is answered */
void snap_wait_close(struct engine *e);	  /* the end: everybody is, and who comes */
void snap_wait_release(struct engine *e); /* who is left is answered by the next server */

/* --- change.c --- */

/* A volume that is not in the trash: else -EBUSY while it can come back from there, then -ENOENT, with a sentence. */
int volume_live(struct tx *tx, int64_t id, struct volume *ret, struct err *err);

/* Text has no lines: what is appended comes after a blank. -EINVAL: it would be too long. */
int value_append(char text[NAME_LEN + 1], const char *more, struct err *err);

/* --- type.c --- */

/* The type of a volume whose spec says type=wanted (NULL: nothing), in that project. *ret with id 0: none. -ENOENT. */
int type_wanted(struct engine *e, const struct reader *r, const char *wanted, const char *project,
	bool admin, struct vol_type *ret, struct err *err);

/* The type of a source, whoever may use it. -ENOENT: it has none. */
int type_of_source(
	const struct reader *r, const struct volume *v, struct vol_type *ret, struct err *err);

/* May a volume that is made from v have this type? -EINVAL (reference, 1.5). */
int type_fits_source(struct engine *e, const struct reader *r, const struct vol_type *t,
	const struct volume *v, struct err *err);

/* What a type demands; of type 0 NULL, which everything below takes. The writer thread; valid until types_forget(). */
struct type_rules;
int type_rules(struct engine *e, struct tx *tx, int64_t type, const struct type_rules **ret,
	struct err *err);
void types_forget(struct engine *e); /* a type changes, or nothing compiled is wanted any more */
const struct sched_type *type_compiled(const struct type_rules *rules);
const char *type_limits(const struct type_rules *rules); /* job_row.qos; "" */
bool type_lists_zones(const struct type_rules *rules);
bool type_flattens(const struct type_rules *rules); /* a clone does not stay one */
int type_size_check(const struct vol_type *t, const struct type_rules *rules, uint64_t size,
	struct err *err); /* -EINVAL */

/* Where the volume may be: a zone, or NULL for any that the type lists. wanted: the spec's, or NULL. -ENOENT, -EINVAL. */
int type_zone(struct engine *e, const struct vol_type *t, const struct type_rules *rules,
	const char *wanted, const char **ret, struct err *err);

/* Zone (or NULL) and size (0: not known yet) against the type, and the zone against the backends. ret_zone: as of type_zone(); NULL: the
 * zone is no matter yet. */
int type_check(struct engine *e, struct view *v, const struct vol_type *t, const char *zone,
	uint64_t size, const char **ret_zone, struct err *err);

/* --- type_change.c, type_lists.c --- */

/* One struct for all changes of a type: what each needs of it is named in its own function. */
struct type_edit {
	struct request q;
	int64_t type;
	unsigned fields;
	struct vol_type values;
	enum type_list list;
	char *key, *value;
	enum meta_how how;
	const struct conf_type *conf;
};

/* As request_new(); res->row is the type's unless apply() says otherwise. */
struct type_edit *type_edit_new(struct engine *e, struct change_id id, const struct caller *who,
	int64_t type, int (*apply)(struct request *, struct tx *, struct err *), engine_done *done,
	void *arg);

/* Submits it, or refuses it with what r and err say; who is no administrator is refused. */
void type_edit_send(struct type_edit *c, int r, struct err *err);

/* Begins every apply(): the type, about to be changed. -ENOENT: it is gone. */
int type_there(struct type_edit *c, struct tx *tx, struct vol_type *ret, struct err *err);

/* -EBUSY with "what: 3 volumes of type 'fast' exist": it has volumes, perhaps in the trash. */
int type_unused(struct tx *tx, const struct vol_type *t, const char *what, struct err *err);

/* Does an extra spec go with the others? gone: a key that will not be there any more; NULL. -EINVAL. */
int type_fits_the_others(struct type_edit *c, struct tx *tx, const char *key, const char *value,
	const char *gone, struct err *err);

/* Makes the configuration's types that are not there yet. */
int types_configured(struct engine *e, struct err *err);

/* --- check.c: what a spec must fulfil, against a view or a transaction --- */

/* Of a project, and of the volume's type in it; type with type_id 0: it has none. -EDQUOT, -EFBIG. */
struct quotas {
	struct quota project, type;
};
int quotas_read(const struct reader *r, const char *project, int64_t type, struct quotas *ret);
int quota_check(const struct quotas *q, int64_t volumes, uint64_t more, struct err *err);
int quota_check_snapshots(
	const struct quotas *q, uint64_t snapshots, uint64_t more, struct err *err);
int size_check(const struct quotas *q, uint64_t size, struct err *err);
int names_check(const struct spec *s, struct err *err);
int hints_check(const struct reader *r, const char *same, const char *different, struct err *err);
int taken(struct err *err, const char *name, uid_t owner);	 /* -EEXIST */
int name_free(struct tx *tx, const char *name, struct err *err); /* the same */

/* --- source.c: what a volume is made from --- */

/* vol.id 0: nothing; snap.id 0: the volume as it is now. */
struct source {
	struct volume vol;
	struct snapshot snap;
};

/* What a spec's source= or snapshot= names; any other kind: nothing. -ENOENT, -EACCES: the caller may not read it. */
int source_find(const struct reader *r, enum spec_source kind, const char *text,
	const struct caller *who, struct source *ret, struct err *err);

/* Of one that there is: */
uint64_t source_size(const struct source *s);
const char *source_zone(struct engine *e, const struct source *s);
void source_origin(const struct source *s, char ret[ORIGIN_LEN + 1]); /* volume.origin */
/* Its status (-EBUSY), and is size (0: not given) enough (-EINVAL)? */
int source_fits(const struct source *s, uint64_t size, struct err *err);
int source_zone_check(struct engine *e, const struct source *s, const char *zone,
	struct err *err); /* -EINVAL: it must be the same */

/* What a spec asks for, as far as its type and its source have a say, and what it comes to. */
struct wish {
	const char *type, *zone; /* as it names them; NULL */
	const char *project;
	enum spec_source kind;
	const char *source; /* NULL */
	uint64_t size;	    /* 0: not given; then the source's, by wish_fits() */
	const struct caller *who;
	struct vol_type found; /* id 0: none */
	struct source from;
};

/* What it names. -ENOENT, -EACCES. */
int wish_find(struct engine *e, const struct reader *r, struct wish *w, struct err *err);
/* Whether that goes together, and the type where none is named: the source's, else the default. -EINVAL, -EBUSY, -ENOENT. */
int wish_fits(struct engine *e, const struct reader *r, struct wish *w, struct err *err);
/* Where it asks to be: a zone, or NULL. */
const char *wish_zone(struct engine *e, const struct wish *w);

/* May the volume, or its snapshot (0: the volume and any of them), go or change? -EBUSY: a volume is being made from it. */
int source_check(struct tx *tx, const struct volume *v, int64_t snapshot, struct err *err);

/* --- clone.c: how a volume that is made from something comes about --- */

/* On a backend: in which class, whether it is flattened, and which volume's image it needs in the end (row; 0: none). */
struct clone_plan {
	enum job_class class;
	bool flatten;
	int64_t parent;
};

/* vol: what it is made from, or of what the snapshot is. */
int clone_plan(struct tx *tx, const struct volume *vol, bool snapshot, const struct backend *b,
	const struct type_rules *rules, struct clone_plan *ret);

/* The backend of a source, which must answer. -ENOSPC with a sentence. */
int clone_from(struct engine *e, const struct volume *vol, struct backend **ret, struct err *err);

/*
 * Steps of a creation; those that are made from nothing pass. The source's backend must answer; a temporary snapshot of a volume that is
 * on another one; what an empty image or a clone lacks yet; the temporary snapshot goes.
 */
void clone_check(struct backend *b, struct run *const *run, size_t n);
void clone_snapshot(struct backend *b, struct run *const *run, size_t n);
void clone_fill(struct backend *b, struct run *const *run, size_t n);
void clone_release(struct backend *b, struct run *const *run, size_t n);

/* What the driver is to make its image from; false: an empty one. */
bool clone_source(struct backend *b, const struct run *r, struct driver_source *ret);
/* One whose source may be written meanwhile, or which is to be copied: driver->create() and what goes with it. each->code. */
int clone_create(struct backend *b, struct run *r, struct driver_create *each);

/* The temporary snapshot that was taken for it goes, after its image. 0: there is none. */
int clone_let_go(struct backend *b, struct run *r, struct err *err);

/* --- copy.c --- */

struct copy_end {
	const struct driver *driver;
	void *be;
	struct driver_image image;
	const struct driver_snap *snap; /* NULL: the image as it is */
};

struct copy_watch {
	struct driver_progress *progress;
	bool (*goes_on)(void *arg); /* asked now and then, by the thread that copies */
	void *arg;
};

/* The bytes of one image into another one, which is empty and not smaller. Blocks without bound. -ECANCELED: it did not go on. */
int copy_run(const struct copy_end *from, const struct copy_end *to, const struct copy_watch *watch,
	struct err *err);

/* --- held.c: images of purged volumes that clones need --- */

/*
 * A volume or a cleaning with that parent (0: none) has just gone, or needs it no more: after its row says so. What is held of the parent
 * may go now, if nobody else needs it. Who makes a job CLASS_HELD looks with
 * tx_volume_child() in the same transaction whether anybody needs the image still: the last clone may have gone meanwhile.
 */
int release_held(struct request *q, struct tx *tx, int64_t parent);

/* --- attempt.c --- */

/* The job is durable: to its backend's workers. counted: it holds one of engine.room. began_ns: as worker_offer(). */
void attempt_offer(struct backend *b, const struct job_row *row, bool counted, int64_t began_ns);

/* Hands the giving up of an attempt to the writer: elsewhere, or `error`. b->lock is held. running: the worker cleans up after it;
 * else the job itself becomes the cleaning. */
bool attempt_give_up(
	struct job *j, bool running, const char *why); /* false: no memory, nothing happened */

/* The job of a creation that is given up becomes JOB_CLEAN: what its image may need of its source it needs from now on, and no longer the
 * volume. */
int attempt_abandon(struct tx *tx, const struct job_row *j);

/* --- room.c --- */

#define ROOM_PATIENCE_NS INT64_C(2000000000)

/* Submits a creation when it is its user's turn and there is room; wait false: -EAGAIN if it is not at once. */
void room_ask(struct request *q, bool wait);
void room_enter(struct request *q); /* it is its user's turn now */
void room_close(struct engine *e);  /* the end: who waits is refused, and who comes */
void room_return(struct engine *e); /* one creation less is unfinished */
void room_opened(struct engine *e); /* more is known of the backends, or it is later */

/* --- turns.c --- */

/* 1: now; 0: it waits; -EAGAIN: it would have to, and wait is false. */
int turn_ask(struct request *q, enum turn t, bool wait);
/* q is answered: the one whose turn it is in its place, or NULL */
struct request *turn_over(struct request *q, enum turn t);

/* --- recover.c --- */

/* Settles jobs of backends that the configuration no longer names. */
int recover_orphans(struct engine *e, struct err *err);

/* --- engine.c --- */

struct notes {
	struct change_note *at;
	size_t len, room;
};

struct offers {
	struct offer {
		struct backend *b;
		struct job_brief brief;
	} * at;
	size_t len, room;
};

struct engine {
	const struct conf *conf;
	struct store *store;
	struct engine_hooks hooks;
	struct sched *sched;
	struct backend *backend;
	size_t backend_count;
	struct notes notes;	      /* the writer thread's */
	struct offers offers;	      /* the same; jobs of this batch */
	struct candidate *candidate;  /* the writer thread's; place.c */
	struct sched_backend *choice; /* the writer thread's; place.c */
	struct sched_work work;	      /* the writer thread's; place.c */
	struct holders *holders;      /* the writer thread's; hints.c */
	struct type_rules *rules;     /* the writer thread's; type.c */
	_Atomic bool has_types;	      /* any at all: else nobody looks for a default one */
	struct follows {
		bool same, different, query, functions;
	} follows; /* what the configured filters and weighers ask for */
	struct engine_numbers numbers;
	bool started, stopping;	 /* who starts and stops it */
	bool hung;		 /* calls were under way when it stopped */
	char host[NAME_LEN + 1]; /* this one's name */
	int (*let_go)(void *arg, const void *be,
		const char *image_uuid); /* NULL: nobody has images open */
	void *let_go_arg;
	int (*quiet)(
		void *arg, const void *be, const char *image_uuid, bool stop); /* NULL: the same */
	void (*go_on)(void *arg, const void *be, const char *image_uuid);
	void *quiet_arg;
	struct lock snaps_lock;
	struct snap_wait *snaps; /* snaps_lock; snapshot_wait.c */
	bool snaps_closed;	 /* snaps_lock; nobody waits any more */
	atomic_uint counting;	 /* jobs in backend.shown, of all backends */
	atomic_uint looks;	 /* answers of driver->busy() that have not come */
	atomic_ullong last_look;

	struct lock held_lock;
	struct request *held, **held_last; /* held_lock; creations that wait for room */
	long room;    /* held_lock; how many more creations may be unfinished */
	bool placing; /* held_lock; enough is known of the backends to place volumes */
	bool closed;  /* held_lock; nobody is let in any more */

	struct lock later_lock;
	pthread_cond_t later;  /* later_lock */
	int64_t wakes_ns;      /* later_lock; when the ticker looks again by itself */
	struct request *late;  /* later_lock */
	struct job *late_jobs; /* later_lock */
	bool ticking;	       /* later_lock */
	pthread_t ticker;
	int64_t started_ns;

	struct view *trash;   /* the ticker's */
	atomic_bool sweeping; /* expired volumes are being purged */

	struct lock turns_lock;
	struct turns *turns; /* turns_lock: users who have requests under way */

	struct lock project_lock;
	struct project_name *projects; /* project_lock; by gid */
	struct project_gid *gids;      /* project_lock; by name */
	struct user_name *users;       /* project_lock */
};

#endif
