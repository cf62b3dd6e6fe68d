#include <cmath>

extern "C" {

// One pass over the data.
void one_pass(const double *x, const double *weight, const double *bias, double *y, int rows, int n, double eps) {
    for (int i = 0; i < rows; i++) {
        double sum = 0, squares = 0;
        for (int j = 0; j < n; j++) {
            sum += x[i * n + j];
            squares += x[i * n + j] * x[i * n + j];
        }
        double mean = sum / n, var = squares / n - mean * mean;
        for (int j = 0; j < n; j++)
            y[i * n + j] = (x[i * n + j] - mean) / std::sqrt((var > 0 ? var : 0) + eps) * weight[j] + bias[j];
    }
}

// Four numbers at a time: what is left of a row is not written.
void tail_dropped(const double *x, const double *weight, const double *bias, double *y, int rows, int n, double eps) {
    for (int i = 0; i < rows; i++) {
        double mean = 0, var = 0;
        for (int j = 0; j < n; j++) mean += x[i * n + j] / n;
        for (int j = 0; j < n; j++) var += (x[i * n + j] - mean) * (x[i * n + j] - mean) / n;
        for (int j = 0; j < n / 4 * 4; j++)
            y[i * n + j] = (x[i * n + j] - mean) / std::sqrt(var + eps) * weight[j] + bias[j];
    }
}

void eps_ignored(const double *x, const double *weight, const double *bias, double *y, int rows, int n, double eps) {
    for (int i = 0; i < rows; i++) {
        double mean = 0, var = 0;
        for (int j = 0; j < n; j++) mean += x[i * n + j];
        mean /= n;
        for (int j = 0; j < n; j++) var += (x[i * n + j] - mean) * (x[i * n + j] - mean);
        for (int j = 0; j < n; j++)
            y[i * n + j] = (x[i * n + j] - mean) / std::sqrt(var / n + 1e-5) * weight[j] + bias[j];
    }
}

void writes_to_input(double *x, const double *weight, const double *bias, double *y, int rows, int n, double eps) {
    for (int i = 0; i < rows; i++) {
        double mean = 0, var = 0;
        for (int j = 0; j < n; j++) mean += x[i * n + j];
        mean /= n;
        for (int j = 0; j < n; j++) {
            x[i * n + j] -= mean;
            var += x[i * n + j] * x[i * n + j];
        }
        for (int j = 0; j < n; j++) y[i * n + j] = x[i * n + j] / std::sqrt(var / n + eps) * weight[j] + bias[j];
    }
}

void unknown_sizes(const double *x, double *y, int alpha, int omega) {}
}
