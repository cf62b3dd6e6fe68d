// A backward that adds to its gradients, as a training loop does that sets them to 0 once for each step.
#include <math.h>

void norm_forward(float *out, float *mean, float *rstd, float *inp, float *weight, float *bias, int B, int T, int C) {
    for (int i = 0; i < B * T; i++) {
        float *x = inp + i * C;
        double m = 0, v = 0;
        for (int j = 0; j < C; j++) m += x[j];
        m /= C;
        for (int j = 0; j < C; j++) v += (x[j] - m) * (x[j] - m);
        double s = 1 / sqrt(v / C + 1e-5);
        for (int j = 0; j < C; j++) out[i * C + j] = (float)((x[j] - m) * s * weight[j] + bias[j]);
        mean[i] = (float)m;
        rstd[i] = (float)s;
    }
}

void norm_backward(float *dinp, float *dweight, float *dbias, float *dout, float *inp, float *weight, float *mean,
                   float *rstd, int B, int T, int C) {
    for (int i = 0; i < B * T; i++) {
        float *x = inp + i * C, *dy = dout + i * C;
        double a = 0, b = 0;
        for (int j = 0; j < C; j++) {
            double h = ((double)x[j] - mean[i]) * rstd[i];
            a += (double)weight[j] * dy[j] / C;
            b += (double)weight[j] * dy[j] * h / C;
            dbias[j] += dy[j];
            dweight[j] += (float)(h * dy[j]);
        }
        for (int j = 0; j < C; j++) {
            double h = ((double)x[j] - mean[i]) * rstd[i];
            dinp[i * C + j] += (float)(((double)weight[j] * dy[j] - a - h * b) * rstd[i]);
        }
    }
}
