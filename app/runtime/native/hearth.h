/* What the parts of Hearth's own library share. The structures of llama.cpp are those of its llama.h. */
#ifndef HEARTH_H
#define HEARTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

enum { UNSURE = -1 };

/* llama_token_data and llama_token_data_array */
struct candidate {
    int32_t id;
    float logit;
    float p;
};

struct candidates {
    struct candidate *data;
    size_t size;
    int64_t selected;
    bool sorted;
};

/* llama_batch */
struct batch {
    int32_t n_tokens;
    int32_t *token;
    float *embd;
    int32_t *pos;
    int32_t *n_seq_id;
    int32_t **seq_id;
    int8_t *logits;
};

typedef void (*apply_t)(void *sampler, struct candidates *among);
typedef void (*accept_t)(void *sampler, int32_t token);
typedef int32_t (*decode_t)(void *context, struct batch batch);
typedef float *(*logits_t)(void *context);
typedef int32_t (*piece_t)(const void *vocab, int32_t token, char *text, int32_t room, int32_t lstrip, bool special);

/* One sequence: its samplers (memory: bias, penalties, DRY, which only lower logits, or NULL; rest: from top-k to the
 * choice, or NULL for the largest logit), tokens that must not be chosen now, the k of top-k, and how many tokens the
 * memory may lower. */
struct sequence {
    void *memory;
    void *rest;
    const int32_t *banned;
    int32_t n_banned;
    int32_t k;
    int32_t lowered;
};

/* Where the text of one sequence goes: `socket` (-1: to the caller), in chunks that begin and end with the same bytes.
 * `unsafe`: 256 flags for the first bytes of characters that only the caller may write. */
struct speaker {
    const uint8_t *head;
    const uint8_t *tail;
    const uint8_t *unsafe;
    uint8_t *frame;
    int32_t head_size;
    int32_t tail_size;
    int32_t room;
    int32_t size;
    int32_t left;
    int32_t socket;
};

/* Sequences that are computed together: `count` of them, in the batch's order. Said of the last call: how many steps it
 * made, how long (seconds) it and its last step took, and the processor's time of this thread in llama_decode. */
struct burst {
    void *context;
    const void *vocab;
    decode_t decode;
    logits_t logits;
    piece_t piece;
    apply_t apply;
    accept_t accept;
    const struct sequence *sequences;
    struct speaker *speakers;
    const int32_t *ends;
    float *maxima;
    struct candidate *found;
    const volatile int32_t *visitors;
    struct batch batch;
    double passed;
    double pace;
    double decoding;
    int32_t count;
    int32_t n_vocab;
    int32_t n_ends;
    int32_t room;
    int32_t steps;
};

EXPORT int32_t hearth_choose_floats(int32_t n_vocab);
EXPORT int32_t hearth_choose(float *table, int32_t n_vocab, int32_t rows, const struct sequence *sequences,
                             apply_t apply, accept_t accept, float *maxima, struct candidate *found, int32_t room,
                             int32_t *tokens);
EXPORT int32_t hearth_burst(struct burst *all, const int32_t *tokens, int32_t *rows, int32_t most, double seconds);

#endif
