// SPDX-License-Identifier: MIT
// What local encodings on real offsets share: c within a ball or box of half-width v, zero beyond. Private to core/rpe.
//
// Their spectra fall like kappa^-((l+1)/2), too slowly for any proposal on all frequencies: |g| has no integral. Frequencies are
// drawn up to B = band/v from p ~ min(1, (kappa / k0)^-((l+1)/2)), an envelope of |g|, which keeps |g/p| bounded; k0 is where the
// envelope's branches meet. The estimate then has the mean of the band-limited mask: right inside and outside, about half of c at
// the edge, with ripples of up to 9 % of c beside it (Gibbs) that keep their height and move to the edge as the band grows. The
// ratio, hence the noise, grows with the band: like log(band) for l = 1, sqrt(band) for l = 2, band for l = 3.
#ifndef FLTX_RPE_LOCAL_H
#define FLTX_RPE_LOCAL_H

#include "flt/rpe.h"

typedef struct flt_rpe_envelope {
    size_t l;
    double k0, end;      // where the tail starts; B
    double inner, outer; // masses below and above k0 of an envelope of height 1 in l dimensions
} flt_rpe_envelope;

flt_err flt_rpe_local_check(const char *who, const flt_rpe_args *a); // c finite, v > 0, band >= 1
flt_rpe_envelope flt_rpe_envelope_of(size_t l, double v, double band);
// The |xi| at level u in [0, 1) of the envelope's distribution; *weight: 1/p there.
double flt_rpe_envelope_place(const flt_rpe_envelope *e, double u, double *weight);
double flt_rpe_envelope_weight(const flt_rpe_envelope *e, double kappa); // 1/p at |xi| = kappa

// Transform of the unit ball's indicator scaled to radius v in l = 1, 2, 3 dimensions, at |xi| = kappa.
double flt_rpe_ball(size_t l, double v, double kappa);
double flt_rpe_ball_slope(size_t l, double v, double kappa); // its derivative by v: the transform of the sphere

#endif
