/* The next token of several sequences in one call, from the rows of logits that llama_decode left.
 *
 * A sampler chain that begins with top-k needs the k best tokens only, but llama.cpp makes a candidate of every token of
 * the vocabulary first (600 KB written and read again for 49,152 of them). Here the maxima of blocks of 64 logits come
 * first: at least `wanted` tokens reach the wanted-th largest of these maxima, whatever the logits are, so the tokens
 * that reach it are the candidates. The rest of the chain is llama.cpp's own and sees them sorted.
 *
 * What is chosen is what the chain would choose from the whole vocabulary. Where that is not sure (equal logits among
 * the best, whose order llama.cpp leaves to chance; too few left by penalties), the answer is UNSURE and nothing has
 * been accepted: the caller samples from everything.
 */
#include "hearth.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64, LANES = 4 };

static float tail_maximum(const float *logits, int count) {
    float most = logits[0];
    for (int i = 1; i < count; i++) most = logits[i] > most ? logits[i] : most;
    return most;
}

#if defined(__GNUC__)
/* Compilers don't make vector code of a maximum by themselves, because of what it does with NaN. */
typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t masks __attribute__((vector_size(4 * LANES)));

static inline floats load(const float *from) {
    floats values;
    memcpy(&values, from, sizeof values);
    return values;
}

static inline floats larger(floats a, floats b) {
    const masks first = a > b;
    return (floats)(((masks)a & first) | ((masks)b & ~first));
}

static float block_maximum(const float *logits) {
    floats best = load(logits), other = load(logits + LANES);
    for (int at = 2 * LANES; at < BLOCK; at += 2 * LANES) {
        best = larger(best, load(logits + at));
        other = larger(other, load(logits + at + LANES));
    }
    best = larger(best, other);
    return tail_maximum((const float *)&best, LANES);
}
#else
static float block_maximum(const float *logits) { return tail_maximum(logits, BLOCK); }
#endif

/* The nth largest (from 1) of `count` values, which are reordered (Hoare's selection). */
static float nth_largest(float *values, int count, int nth) {
    int low = 0, high = count - 1;
    const int at = nth - 1;
    while (low < high) {
        const float pivot = values[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (values[i] > pivot) i++;
            while (values[j] < pivot) j--;
            if (i <= j) {
                const float kept = values[i];
                values[i++] = values[j];
                values[j--] = kept;
            }
        }
        if (at <= j) high = j;
        else if (at >= i) low = i;
        else break;
    }
    return values[at];
}

/* Largest logit first (Shell's sort: some hundred of them, nearly all apart). */
static void sort(struct candidate *found, int count) {
    static const int gaps[] = {132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++) {
        const int gap = gaps[g];
        for (int i = gap; i < count; i++) {
            const struct candidate one = found[i];
            int j = i;
            for (; j >= gap && found[j - gap].logit < one.logit; j -= gap) found[j] = found[j - gap];
            found[j] = one;
        }
    }
}

/* Tokens that reach `threshold`, from the blocks whose maximum does; -1: more than `room`. */
static int collect(const float *logits, int n_vocab, const float *maxima, float threshold, struct candidate *found,
                   int room) {
    int count = 0;
    for (int first = 0, block = 0; first < n_vocab; first += BLOCK, block++) {
        if (!(maxima[block] >= threshold)) continue;
        const int end = first + BLOCK < n_vocab ? first + BLOCK : n_vocab;
        for (int id = first; id < end; id++) {
            if (!(logits[id] >= threshold)) continue;
            if (count == room) return -1;
            found[count++] = (struct candidate){id, logits[id], 0.0f};
        }
    }
    return count;
}

static int blocks_of(int n_vocab) { return (n_vocab + BLOCK - 1) / BLOCK; }

/* The k best are these, in an order that nobody else can see otherwise. */
static bool sure(const struct candidate *sorted, int count, int k, float threshold) {
    if (count < k || !(sorted[k - 1].logit >= threshold)) return false;
    const int last = count > k ? k : k - 1;
    for (int i = 0; i < last; i++)
        if (!(sorted[i].logit > sorted[i + 1].logit)) return false;
    return true;
}

/* The first of the largest logits. */
static int32_t first_best(const float *logits, int n_vocab, const float *maxima, int blocks) {
    int best = 0;
    for (int block = 1; block < blocks; block++)
        if (maxima[block] > maxima[best]) best = block;
    const int end = (best + 1) * BLOCK < n_vocab ? (best + 1) * BLOCK : n_vocab;
    for (int id = best * BLOCK; id < end; id++)
        if (logits[id] == maxima[best]) return id;
    return UNSURE;
}

static int32_t choose(float *logits, int n_vocab, const struct sequence *one, apply_t apply, accept_t accept,
                      float *maxima, struct candidate *found, int room) {
    const int blocks = blocks_of(n_vocab), whole = n_vocab / BLOCK, wanted = one->k + one->lowered;
    for (int i = 0; i < one->n_banned; i++) logits[one->banned[i]] = -INFINITY;
    if (wanted > blocks) return UNSURE;
    for (int block = 0; block < whole; block++) maxima[block] = block_maximum(logits + block * BLOCK);
    if (whole < blocks) maxima[whole] = tail_maximum(logits + whole * BLOCK, n_vocab - whole * BLOCK);
    if (!one->rest) return first_best(logits, n_vocab, maxima, blocks);

    float *ordered = maxima + blocks;
    for (int block = 0; block < blocks; block++) ordered[block] = maxima[block];
    const float threshold = nth_largest(ordered, blocks, wanted);
    if (!isfinite(threshold)) return UNSURE;

    const int count = collect(logits, n_vocab, maxima, threshold, found, room);
    if (count < one->k) return UNSURE;
    struct candidates among = {found, (size_t)count, -1, false};
    if (one->memory) apply(one->memory, &among);
    sort(found, count);
    if (!sure(found, count, one->k, threshold)) return UNSURE;
    among.sorted = true;
    apply(one->rest, &among);
    if (among.selected < 0 || (size_t)among.selected >= among.size) return UNSURE;
    const int32_t token = among.data[among.selected].id;
    if (one->memory) accept(one->memory, token);
    return token;
}

/* Floats that `hearth_choose` needs to work in, besides `room` candidates. */
EXPORT int32_t hearth_choose_floats(int32_t n_vocab) { return 2 * blocks_of(n_vocab); }

/* `table`: `rows` rows of `n_vocab` logits, in which the banned ones become -inf; `tokens`: one for each row, or UNSURE. Returns how many are unsure. */
EXPORT int32_t hearth_choose(float *table, int32_t n_vocab, int32_t rows, const struct sequence *sequences,
                             apply_t apply, accept_t accept, float *maxima, struct candidate *found, int32_t room,
                             int32_t *tokens) {
    int32_t unsure = 0;
    for (int32_t row = 0; row < rows; row++) {
        float *logits = table + (size_t)row * (size_t)n_vocab;
        tokens[row] = choose(logits, n_vocab, &sequences[row], apply, accept, maxima, found, room);
        unsure += tokens[row] == UNSURE;
    }
    return unsure;
}
