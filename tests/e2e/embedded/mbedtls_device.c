/* A device on mbed TLS: shows its certificate, sends what comes on stdin, prints in hex what it gets back.
 *
 * mbedtls_device HOST PORT ROOT.pem CHAIN.pem KEY.pem BYTES-TO-READ [ADDRESS]
 * First line: version, and the bytes of the handshake, sent and received. A refusal is printed as mbed TLS's error number.
 * It offers one cipher suite, one curve and one hash: whoever counts bytes names no others.
 */
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const int suites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 0};
static const mbedtls_ecp_group_id curves[] = {MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_NONE};
static const int hashes[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_NONE};
static unsigned long sent, received;

static int count_sent(void *context, const unsigned char *data, size_t size) {
    int done = mbedtls_net_send(context, data, size);
    if (done > 0) sent += done;
    return done;
}

static int count_received(void *context, unsigned char *data, size_t size) {
    int done = mbedtls_net_recv(context, data, size);
    if (done > 0) received += done;
    return done;
}

static int fail(const char *what, int error) {
    printf("%s -0x%04x\n", what, -error);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    const char *address = argc > 7 ? argv[7] : argv[1];
    int error;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_x509_crt root, chain;
    mbedtls_pk_context key;
    mbedtls_ssl_config settings;
    mbedtls_ssl_context ssl;
    mbedtls_net_context net;
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&random);
    mbedtls_x509_crt_init(&root);
    mbedtls_x509_crt_init(&chain);
    mbedtls_pk_init(&key);
    mbedtls_ssl_config_init(&settings);
    mbedtls_ssl_init(&ssl);
    mbedtls_net_init(&net);
    if ((error = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0))) return fail("random", error);
    if ((error = mbedtls_x509_crt_parse_file(&root, argv[3]))) return fail("root", error);
    if ((error = mbedtls_x509_crt_parse_file(&chain, argv[4]))) return fail("chain", error);
    if ((error = mbedtls_pk_parse_keyfile(&key, argv[5], NULL))) return fail("key", error);
    mbedtls_ssl_config_defaults(&settings, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(&settings, mbedtls_ctr_drbg_random, &random);
    mbedtls_ssl_conf_authmode(&settings, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ciphersuites(&settings, suites);
    mbedtls_ssl_conf_curves(&settings, curves);
    mbedtls_ssl_conf_sig_hashes(&settings, hashes);
    mbedtls_ssl_conf_ca_chain(&settings, &root, NULL);
    if ((error = mbedtls_ssl_conf_own_cert(&settings, &chain, &key))) return fail("own", error);
    if ((error = mbedtls_ssl_setup(&ssl, &settings))) return fail("setup", error);
    /* The name that is asked for, and that the certificate must be for. */
    if ((error = mbedtls_ssl_set_hostname(&ssl, argv[1]))) return fail("name", error);
    if ((error = mbedtls_net_connect(&net, address, argv[2], MBEDTLS_NET_PROTO_TCP))) return fail("connect", error);
    mbedtls_ssl_set_bio(&ssl, &net, count_sent, count_received, NULL);
    if ((error = mbedtls_ssl_handshake(&ssl))) return fail("handshake", error);
    printf("%s %lu %lu\n", mbedtls_ssl_get_version(&ssl), sent, received);
    unsigned char data[4096];
    int size = (int)read(0, data, sizeof data);
    if (size <= 0 || mbedtls_ssl_write(&ssl, data, size) != size) return fail("write", 0);
    for (int left = atoi(argv[6]); left > 0; left -= size) {
        size = mbedtls_ssl_read(&ssl, data, left);
        if (size <= 0) return fail("read", size);
        for (int place = 0; place < size; place++) printf("%02x", data[place]);
    }
    printf("\n");
    mbedtls_ssl_close_notify(&ssl);
    return 0;
}
