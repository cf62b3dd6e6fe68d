#include <math.h>

/* rows sets of n members; weight and bias have n entries */
void layer_norm(const double *x, const double *weight, const double *bias, double *y, int rows, int n, double eps) {
    for (int i = 0; i < rows; i++) {
        double mean = 0, var = 0;
        for (int j = 0; j < n; j++) mean += x[i * n + j];
        mean /= n;
        for (int j = 0; j < n; j++) var += (x[i * n + j] - mean) * (x[i * n + j] - mean);
        double rstd = 1 / sqrt(var / n + eps);
        for (int j = 0; j < n; j++) y[i * n + j] = (x[i * n + j] - mean) * rstd * weight[j] + bias[j];
    }
}

/* In float32, with a backward that uses what the forward has saved. */
void layernorm_forward(float *out, float *mean, float *rstd, const float *inp, const float *weight, const float *bias,
                       int B, int T, int C, float eps) {
    for (int i = 0; i < B * T; i++) {
        const float *x = inp + i * C;
        double m = 0, v = 0;
        for (int j = 0; j < C; j++) m += x[j];
        m /= C;
        for (int j = 0; j < C; j++) v += (x[j] - m) * (x[j] - m);
        double s = 1 / sqrt(v / C + (double)eps);
        for (int j = 0; j < C; j++) out[i * C + j] = (float)((x[j] - m) * s * weight[j] + bias[j]);
        mean[i] = (float)m;
        rstd[i] = (float)s;
    }
}

void layernorm_backward(float *dinp, float *dweight, float *dbias, const float *dout, const float *inp,
                        const float *weight, int B, int T, int C, float eps) {
    for (int j = 0; j < C; j++) dweight[j] = dbias[j] = 0;
    for (int i = 0; i < B * T; i++) {
        const float *x = inp + i * C, *dy = dout + i * C;
        double m = 0, v = 0, a = 0, b = 0;
        for (int j = 0; j < C; j++) m += x[j];
        m /= C;
        for (int j = 0; j < C; j++) v += (x[j] - m) * (x[j] - m);
        double s = 1 / sqrt(v / C + (double)eps);
        for (int j = 0; j < C; j++) {
            double g = (double)dy[j] * weight[j], h = (x[j] - m) * s;
            a += g;
            b += g * h;
            dweight[j] += (float)(dy[j] * h);
            dbias[j] += dy[j];
        }
        for (int j = 0; j < C; j++) {
            double g = (double)dy[j] * weight[j], h = (x[j] - m) * s;
            dinp[i * C + j] = (float)(s * (g - a / C - h * b / C));
        }
    }
}

void rms_norm(const float *x, const float *weight, float *y, long rows, long n, float eps) {
    for (long i = 0; i < rows; i++) {
        double sum = 0;
        for (long j = 0; j < n; j++) sum += (double)x[i * n + j] * x[i * n + j];
        double r = 1 / sqrt(sum / n + (double)eps);
        for (long j = 0; j < n; j++) y[i * n + j] = (float)(x[i * n + j] * r * weight[j]);
    }
}
