/* The usual stretch of an engine's work without a way back to Python: every sequence gets a token a step, and the text
 * of those whose reader's socket is at hand goes there at once, as one chunk of a chunked HTTP body (RFC 9112, 7.1).
 *
 * What is not plain is left to the caller: the last step's tokens are always its own to write. So a step ends the stretch
 * when one of its tokens ends an answer, is not sure to be the chain's choice, is no whole UTF-8, or has a letter that
 * could begin something else than text (a tool call, a stop string).
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "hearth.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#if defined(_WIN32)
static double seconds_now(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double worked(void) { return (double)clock() / CLOCKS_PER_SEC; }

static int32_t give(int32_t socket, const uint8_t *bytes, int32_t size) {
    (void)socket, (void)bytes, (void)size;
    return 0;
}
#else
#include <unistd.h>

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double seconds_now(void) { return seconds_of(CLOCK_MONOTONIC); }

static double worked(void) { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

/* How many bytes the system took of a socket that does not block. (SIGPIPE is ignored in every Python process.) */
static int32_t give(int32_t socket, const uint8_t *bytes, int32_t size) {
    const ssize_t taken = write(socket, bytes, (size_t)size);
    return taken > 0 ? (int32_t)taken : 0;
}
#endif

enum { MOST_PIECE = 512, MOST_ESCAPED = 6 * MOST_PIECE, SIZE_LINE = 10 };

/* The length of the UTF-8 character at `text` (RFC 3629), or 0 where there is none within `size` bytes. */
static int32_t character(const uint8_t *text, int32_t size) {
    const uint8_t first = text[0];
    if (first < 0x80) return 1;
    const int32_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || length > size) return 0;
    const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high) return 0;
    for (int32_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    return length;
}

/* One character of a JSON string (RFC 8259, 7); returns its bytes in `out`. */
static int32_t escape(const uint8_t *text, int32_t length, uint8_t *out) {
    static const char short_names[] = "btn\0fr"; /* from 8 to 13 */
    const uint8_t first = text[0];
    if (first == '"' || first == '\\') {
        out[0] = '\\', out[1] = first;
        return 2;
    }
    if (first >= 0x20) {
        memcpy(out, text, (size_t)length);
        return length;
    }
    if (first >= 8 && first <= 13 && short_names[first - 8]) {
        out[0] = '\\', out[1] = (uint8_t)short_names[first - 8];
        return 2;
    }
    static const char digits[] = "0123456789abcdef";
    memcpy(out, "\\u00", 4);
    out[4] = (uint8_t)digits[first >> 4], out[5] = (uint8_t)digits[first & 15];
    return 6;
}

/* A token's text as the inside of a JSON string; -1: it is not plain. */
static int32_t plain(const struct burst *all, const struct speaker *one, int32_t token, uint8_t *out) {
    uint8_t text[MOST_PIECE];
    const int32_t size = all->piece(all->vocab, token, (char *)text, MOST_PIECE, 0, false);
    if (size < 1) return -1;
    int32_t written = 0;
    for (int32_t at = 0, length = 0; at < size; at += length) {
        length = character(text + at, size - at);
        if (!length || one->unsafe[text[at]]) return -1;
        written += escape(text + at, length, out + written);
    }
    return written;
}

/* The chunk with a token's text in the speaker's frame; false: it is not plain, or there is no room for it. */
static bool frame(const struct burst *all, struct speaker *one, int32_t token) {
    uint8_t text[MOST_ESCAPED];
    const int32_t length = plain(all, one, token, text);
    const int32_t body = one->head_size + length + one->tail_size;
    if (length < 0 || body + SIZE_LINE + 2 > one->room) return false;
    uint8_t *at = one->frame;
    at += snprintf((char *)at, SIZE_LINE, "%x\r\n", (unsigned)body);
    memcpy(at, one->head, (size_t)one->head_size), at += one->head_size;
    memcpy(at, text, (size_t)length), at += length;
    memcpy(at, one->tail, (size_t)one->tail_size), at += one->tail_size;
    memcpy(at, "\r\n", 2), at += 2;
    one->size = (int32_t)(at - one->frame);
    return true;
}

static bool ends(const struct burst *all, int32_t token) {
    for (int32_t i = 0; i < all->n_ends; i++)
        if (all->ends[i] == token) return true;
    return token == UNSURE;
}

/* Every token of the step is text and nothing else, and every frame is ready to go. */
static bool usual(struct burst *all, const int32_t *tokens) {
    for (int32_t i = 0; i < all->count; i++)
        if (ends(all, tokens[i])) return false;
    for (int32_t i = 0; i < all->count; i++)
        if (all->speakers[i].socket >= 0 && !frame(all, &all->speakers[i], tokens[i])) return false;
    return true;
}

/* False: somebody's socket did not take all of it; `left` bytes at the end of its frame are still to be written. */
static bool speak(struct burst *all) {
    bool whole = true;
    for (int32_t i = 0; i < all->count; i++) {
        struct speaker *one = &all->speakers[i];
        if (one->socket < 0) continue;
        one->left = one->size - give(one->socket, one->frame, one->size);
        whole = whole && !one->left;
    }
    return whole;
}

static void advance(struct burst *all, const int32_t *tokens) {
    for (int32_t i = 0; i < all->count; i++) {
        all->batch.token[i] = tokens[i];
        all->batch.pos[i]++;
    }
}

/* Compute at most `most` steps from the batch's next ones on, fewer when one is not usual, when `*visitors` is set, or
 * when `seconds` are nearly over. `tokens`: the first step's; `rows`: room for `most` steps' choices. Returns
 * llama_decode's last code. */
EXPORT int32_t hearth_burst(struct burst *all, const int32_t *tokens, int32_t *rows, int32_t most, double seconds) {
    const double began = seconds_now();
    double now = began;
    bool whole = true;
    int32_t code = 0;
    all->steps = 0, all->decoding = 0;
    while (true) {
        advance(all, tokens);
        const double computing = worked();
        code = all->decode(all->context, all->batch);
        all->decoding += worked() - computing;
        if (code) break;
        int32_t *row = rows + (size_t)all->steps * (size_t)all->count;
        hearth_choose(all->logits(all->context), all->n_vocab, all->count, all->sequences, all->apply, all->accept,
                      all->maxima, all->found, all->room, row);
        all->steps++;
        const double before = now;
        now = seconds_now();
        all->pace = now - before;
        const bool over = all->steps >= most || *all->visitors || now - began + all->pace / 2 >= seconds;
        if (over || !whole || !usual(all, row)) break;
        whole = speak(all);
        tokens = row;
    }
    all->passed = now - began;
    return code;
}
