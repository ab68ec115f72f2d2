/* A device on wolfSSL: shows its certificate, sends what comes on stdin, prints in hex what it gets back.
 *
 * wolfssl_device HOST PORT ROOT.pem CHAIN.pem KEY.pem BYTES-TO-READ [ADDRESS]
 * First line: the bytes of the handshake, sent and received. A refusal is printed as wolfSSL's error number.
 */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned long sent, received;
static int plain;

static int count_sent(WOLFSSL *ssl, char *data, int size, void *context) {
    (void)ssl, (void)context;
    int done = (int)send(plain, data, size, MSG_NOSIGNAL);
    if (done <= 0) return WOLFSSL_CBIO_ERR_CONN_CLOSE;
    sent += done;
    return done;
}

static int count_received(WOLFSSL *ssl, char *data, int size, void *context) {
    (void)ssl, (void)context;
    int done = (int)recv(plain, data, size, 0);
    if (done <= 0) return WOLFSSL_CBIO_ERR_CONN_CLOSE;
    received += done;
    return done;
}

static int fail(const char *what, int error) {
    printf("%s %d\n", what, error);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    const char *address = argc > 7 ? argv[7] : argv[1];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(address, argv[2], &hints, &found)) return fail("name", 0);
    for (plain = -1; found; found = found->ai_next) {
        plain = socket(found->ai_family, found->ai_socktype, 0);
        if (connect(plain, found->ai_addr, found->ai_addrlen) == 0) break;
        close(plain);
        plain = -1;
    }
    if (plain < 0) return fail("connect", 0);
    wolfSSL_Init();
    WOLFSSL_CTX *context = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    /* As Debian builds it, wolfSSL verifies nobody unless it is told to. */
    wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_PEER, NULL);
    if (wolfSSL_CTX_load_verify_locations(context, argv[3], NULL) != WOLFSSL_SUCCESS) return fail("root", 0);
    if (wolfSSL_CTX_use_certificate_chain_file(context, argv[4]) != WOLFSSL_SUCCESS) return fail("chain", 0);
    if (wolfSSL_CTX_use_PrivateKey_file(context, argv[5], WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS)
        return fail("key", 0);
    wolfSSL_CTX_SetIOSend(context, count_sent);
    wolfSSL_CTX_SetIORecv(context, count_received);
    WOLFSSL *ssl = wolfSSL_new(context);
    if (wolfSSL_check_domain_name(ssl, argv[1]) != WOLFSSL_SUCCESS) return fail("name", 0);
    if (wolfSSL_connect(ssl) != WOLFSSL_SUCCESS) return fail("handshake", wolfSSL_get_error(ssl, 0));
    printf("%s %lu %lu\n", wolfSSL_get_version(ssl), sent, received);
    unsigned char data[4096];
    int size = (int)read(0, data, sizeof data);
    if (size <= 0 || wolfSSL_write(ssl, data, size) != size) return fail("write", 0);
    for (int left = atoi(argv[6]); left > 0; left -= size) {
        size = wolfSSL_read(ssl, data, left);
        if (size <= 0) return fail("read", wolfSSL_get_error(ssl, size));
        for (int place = 0; place < size; place++) printf("%02x", data[place]);
    }
    printf("\n");
    wolfSSL_shutdown(ssl);
    return 0;
}
