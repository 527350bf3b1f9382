package org.apache.curator.test;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.TimeUnit;

/**
 * Stands in for the adapter of curator-test that runs a server inside of the process of the tests. Before it on the class
 * path, this one starts a server as a process of its own, by the java of PATH, with the configuration that the tests made
 * and the system properties that they set for it.
 */
public class ZooKeeperServerEmbeddedAdapter implements ZooKeeperMainFace {
    private static final String[] PROPERTIES = {"zookeeper.", "znode.", "readonlymode.", "jute.", "java.security.auth."};
    private static final int PATIENCE_MS = 30_000;

    private volatile Process process;
    private volatile int clientPort;

    @Override
    public void start(QuorumPeerConfigBuilder builder) {
        try {
            Properties config = builder.buildProperties();
            clientPort = Integer.parseInt(config.getProperty("clientPort", "0"));
            if (clientPort == 0) {
                clientPort = freePort();
                config.setProperty("clientPort", Integer.toString(clientPort));
            }
            config.setProperty("admin.enableServer", "false");
            File dataDir = new File(config.getProperty("dataDir"));
            Files.createDirectories(dataDir.toPath());
            File myid = new File(dataDir, "myid");
            boolean cluster = config.stringPropertyNames().stream().anyMatch(name -> name.startsWith("server."));
            if (cluster && !myid.exists()) {
                Files.write(myid.toPath(), Integer.toString(builder.getInstanceSpec().getServerId()).getBytes());
            }
            File file = File.createTempFile("zoo", ".cfg");
            try (OutputStream out = Files.newOutputStream(file.toPath())) {
                config.store(out, null);
            }
            List<String> command = new ArrayList<>(List.of("java", "-XX:TieredStopAtLevel=1", "-cp", System.getenv("SERVER_CLASSPATH")));
            for (String name : System.getProperties().stringPropertyNames()) {
                for (String prefix : PROPERTIES) {
                    if (name.startsWith(prefix)) {
                        command.add("-D" + name + "=" + System.getProperty(name));
                    }
                }
            }
            command.add("org.apache.zookeeper.server.quorum.QuorumPeerMain");
            command.add(file.getPath());
            process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(new File("/tmp/servers.log")))
                    .start();
            await(!cluster);
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new FailedServerStartException(e);
        }
    }

    private static int freePort() throws IOException {
        try (ServerSocket s = new ServerSocket(0)) {
            return s.getLocalPort();
        }
    }

    /** Waits until the port is open, or until the server behind it serves: one that needs others cannot alone. */
    private void await(boolean serves) throws Exception {
        for (long end = System.currentTimeMillis() + PATIENCE_MS; ; Thread.sleep(20)) {
            try (Socket s = new Socket()) {
                s.connect(new InetSocketAddress("127.0.0.1", clientPort), 1000);
                if (!serves) {
                    return;
                }
                s.setSoTimeout(1000);
                s.getOutputStream().write("srvr".getBytes());
                if (new String(s.getInputStream().readAllBytes()).contains("Mode: ")) {
                    return;
                }
            } catch (IOException e) {
                // not yet
            }
            if (!process.isAlive() || System.currentTimeMillis() > end) {
                throw new FailedServerStartException("no server at port " + clientPort);
            }
        }
    }

    @Override
    public int getClientPort() {
        return clientPort;
    }

    @Override
    public void kill() {
        end(true);
    }

    @Override
    public void close() {
        end(false);
    }

    private void end(boolean forcibly) {
        Process p = process;
        if (p == null) {
            return;
        }
        try {
            if (!forcibly) {
                p.destroy();
                if (p.waitFor(10, TimeUnit.SECONDS)) {
                    return;
                }
            }
            p.destroyForcibly().waitFor();
        } catch (InterruptedException e) {
            p.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
